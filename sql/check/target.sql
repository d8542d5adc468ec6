-- The target of oid $1: the columns of its unique indexes, and the table as the ledger identifies it
select array(select pg_get_indexdef(i.indexrelid, 1, true)
                    || coalesce((select string_agg(', ' || pg_get_indexdef(i.indexrelid, n, true), '' order by n)
                                   from generate_series(2, i.indnkeyatts) n), '')
               from pg_index i
              where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indpred is null
              order by i.indexrelid),
       c.system_identifier || '/' || d.oid || '/' || $1
  from pg_control_system() c
  join pg_database d on d.datname = current_database()
