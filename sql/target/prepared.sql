-- A prepared transaction that has locked the table of oid $1, or a part of it, to write. $2: whether Citus spreads it over
-- nodes: then what Citus has prepared here counts, too.
with recursive part (oid) as (
  select $1::oid
  union
  select i.inhrelid from part p join pg_inherits i on i.inhparent = p.oid
)
select min(x.gid)
  from pg_prepared_xacts x
 where x.database = current_database()
   and ($2 and x.gid like 'citus\_%'
        or exists (select
                     from pg_locks own
                     join pg_locks l on l.virtualtransaction = own.virtualtransaction
                     join part p on p.oid = l.relation
                    where own.locktype = 'transactionid' and own.transactionid = x.transaction
                      -- No process holds them.
                      and own.pid is null and l.pid is null
                      and l.locktype = 'relation'
                      and l.mode not in ('AccessShareLock', 'RowShareLock')))
