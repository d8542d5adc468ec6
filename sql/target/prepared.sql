-- A prepared transaction that has locked one of the tables of oids $1 to write. $2: whether Citus spreads one over nodes:
-- then what Citus has prepared here counts, too.
select min(x.gid)
  from pg_prepared_xacts x
 where x.database = current_database()
   and ($2 and x.gid like 'citus\_%'
        or exists (select
                     from pg_locks own
                     join pg_locks l on l.virtualtransaction = own.virtualtransaction
                    where own.locktype = 'transactionid' and own.transactionid = x.transaction
                      -- No process holds them.
                      and own.pid is null and l.pid is null
                      and l.locktype = 'relation' and l.relation = any ($1)
                      and l.mode not in ('AccessShareLock', 'RowShareLock')))
