-- Who has the lock ($1: its class) of the pipeline with id $3, the run that it leads, and what the worker that it
-- hired ($2: the class of the workers' lock) says it is at.
with held as (
  select l.pid, l.classid, l.granted
    from pg_locks l
   where l.locktype = 'advisory'
     and l.database = (select d.oid from pg_database d where d.datname = current_database())
     and l.classid in ($1, $2)
     and l.objid = hashtext($3)::bigint & 4294967295
     and l.objsubid = 2
)
select h.pid,
       (select max(r.run_id) from lrs_extract.runs r
          join lrs_extract.run n on n.run_id = r.run_id
         where n.pipeline_id = $3::uuid and r.state = 'running' and r.leader_pid = h.pid) as run_id,
       (select min(a.query)
          from held w
          join pg_stat_activity a on a.pid = w.pid
         where w.classid = $2 and w.granted and a.backend_type = 'lrs_extract worker') as doing
  from held h
 where h.classid = $1 and h.granted
