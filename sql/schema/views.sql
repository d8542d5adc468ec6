create view lrs_extract.runs as
select r.run_id,
       r.pipeline,
       case
         when r.state = 'running' and not exists (
           select
             from pg_catalog.pg_locks l
            where l.locktype = 'advisory'
              and l.database = (select d.oid from pg_catalog.pg_database d
                                 where d.datname = pg_catalog.current_database())
              and l.classid = 1819439904
              and l.objid = pg_catalog.hashtext(r.pipeline)::bigint & 4294967295
              and l.pid = r.leader_pid
              and l.granted
         ) then 'interrupted'
         else r.state
       end as state,
       r."from",
       r."to",
       r.batch_size,
       r.jobs,
       r.commit_mode,
       r.again,
       r.caller,
       r.leader_pid,
       r.started_at,
       r.finished_at,
       s.slices,
       s.slices_done,
       s.rows,
       s.rejected,
       s.bytes,
       s.watermark,
       r.sqlstate,
       r.error,
       r.detail,
       r.hint
  from lrs_extract.run r
 cross join lateral (
   select pg_catalog.count(*) as slices,
          pg_catalog.count(*) filter (where s.state = 'done') as slices_done,
          coalesce(pg_catalog.sum(s.rows), 0)::bigint as rows,
          coalesce(pg_catalog.sum(s.rejected), 0)::bigint as rejected,
          coalesce(pg_catalog.sum(s.bytes), 0)::bigint as bytes,
          -- Up to here the run's period is pulled without a gap.
          pg_catalog.min(coalesce(s.watermark, s."from")) filter (where s.state <> 'done') as watermark
     from lrs_extract.slice s
    where s.run_id = r.run_id
 ) s;
comment on view lrs_extract.runs is 'Each run with its sums; a run whose processes are gone is interrupted, and the same call again goes on from there';
