create view lrs_extract.runs as
select r.run_id,
       coalesce((select p.name from lrs_extract.pipeline p where p.pipeline_id = r.pipeline_id), r.pipeline) as pipeline,
       case
         when r.state = 'running' and not exists (
           select
             from pg_catalog.pg_locks l
            where l.locktype = 'advisory'
              and l.database = (select d.oid from pg_catalog.pg_database d
                                 where d.datname = pg_catalog.current_database())
              and l.classid = 1819439904
              and l.objid = pg_catalog.hashtext(r.pipeline_id::text)::bigint & 4294967295
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
       r.target,
       r.started_at,
       r.finished_at,
       s.slices,
       s.slices_done,
       s.rows,
       s.rejected,
       s.bytes,
       s.watermark,
       (select coalesce(pg_catalog.sum(b.wal_bytes), 0)::bigint
          from lrs_extract.batch b
         where b.run_id = r.run_id) as wal_bytes,
       -- Less than zero: the statistics were reset during the run.
       nullif(greatest(
         (r.stage_end ->> 'checkpoints_timed')::bigint
           - (r.stage_start ->> 'checkpoints_timed')::bigint, -1), -1) as checkpoints_timed,
       nullif(greatest(
         (r.stage_end ->> 'checkpoints_requested')::bigint
           - (r.stage_start ->> 'checkpoints_requested')::bigint, -1), -1) as checkpoints_requested,
       nullif(greatest(
         (r.stage_end ->> 'autovacuums')::bigint
           - (r.stage_start ->> 'autovacuums')::bigint, -1), -1) as autovacuums,
       nullif(greatest(
         (r.stage_end ->> 'autoanalyzes')::bigint
           - (r.stage_start ->> 'autoanalyzes')::bigint, -1), -1) as autoanalyzes,
       r.sqlstate,
       r.error,
       r.detail,
       r.hint,
       s.rows_read,
       s.skipped,
       r.kind
  from lrs_extract.run r
 cross join lateral (
   select pg_catalog.count(*) as slices,
          pg_catalog.count(*) filter (where s.state = 'done') as slices_done,
          coalesce(pg_catalog.sum(s.rows_read), 0)::bigint as rows_read,
          coalesce(pg_catalog.sum(s.rows), 0)::bigint as rows,
          coalesce(pg_catalog.sum(s.rejected), 0)::bigint as rejected,
          coalesce(pg_catalog.sum(s.skipped), 0)::bigint as skipped,
          coalesce(pg_catalog.sum(s.bytes), 0)::bigint as bytes,
          -- Up to here the run's period is pulled without a gap.
          pg_catalog.min(coalesce(s.watermark, s."from"))
            -- Not where it looks back on what was pulled before.
            filter (where s.state <> 'done' and (s."from" >= r."from" or r.kind = 'repair')) as watermark
     from lrs_extract.slice s
    where s.run_id = r.run_id
 ) s;
comment on view lrs_extract.runs is 'Each run with its sums; a run whose processes are gone is interrupted, and the same call resumes it. Checkpoints of the server and autovacuums of the target are counted when it has ended';
comment on column lrs_extract.runs.run_id is 'The run''s number';
comment on column lrs_extract.runs.pipeline is 'The pipeline''s name of today; that of the run where it is gone';
comment on column lrs_extract.runs.state is 'running, done, failed, cancelled, or interrupted: its processes are gone without a word';
comment on column lrs_extract.runs."from" is 'Start of the period, after clipping, inclusive';
comment on column lrs_extract.runs."to" is 'End of the period, after clipping, exclusive';
comment on column lrs_extract.runs.batch_size is 'Rows a batch, as the caller asked';
comment on column lrs_extract.runs.jobs is 'How many workers were asked for';
comment on column lrs_extract.runs.commit_mode is 'The boundary: batch, slice or caller';
comment on column lrs_extract.runs.again is 'Whether covered ranges were pulled once more';
comment on column lrs_extract.runs.caller is 'The role that called';
comment on column lrs_extract.runs.leader_pid is 'The process of the backend that called';
comment on column lrs_extract.runs.target is 'The table that is loaded';
comment on column lrs_extract.runs.started_at is 'When the run was opened';
comment on column lrs_extract.runs.finished_at is 'When it ended';
comment on column lrs_extract.runs.slices is 'Slices of the run';
comment on column lrs_extract.runs.slices_done is 'Those that are pulled to their end';
comment on column lrs_extract.runs.rows is 'Rows committed into the target';
comment on column lrs_extract.runs.rows_read is 'Rows that came from the source for them; more than rows, rejected and skipped together where a trigger or a rule of the target takes rows away';
comment on column lrs_extract.runs.rejected is 'Rows committed into reject';
comment on column lrs_extract.runs.skipped is 'Rows left out because the target has their unique key already, with on_conflict skip';
comment on column lrs_extract.runs.bytes is 'Bytes read from the source for them';
comment on column lrs_extract.runs.watermark is 'Up to here the run''s period is pulled without a gap; null once all of it is';
comment on column lrs_extract.runs.wal_bytes is 'WAL that the workers wrote, attempts that failed included';
comment on column lrs_extract.runs.checkpoints_timed is 'Checkpoints of the server during the run that were timed; null while the run is in progress';
comment on column lrs_extract.runs.checkpoints_requested is 'Those that came because max_wal_size was full, or on request';
comment on column lrs_extract.runs.autovacuums is 'Autovacuums of the target during the run';
comment on column lrs_extract.runs.autoanalyzes is 'Automatic ANALYZE of the target during the run';
comment on column lrs_extract.runs.sqlstate is 'SQLSTATE of the error that ended it';
comment on column lrs_extract.runs.error is 'That error''s message';
comment on column lrs_extract.runs.detail is 'Its detail';
comment on column lrs_extract.runs.hint is 'Its hint';
comment on column lrs_extract.runs.kind is 'pull or repair';

-- What each worker says in pg_stat_activity; that of other roles takes pg_read_all_stats.
create view lrs_extract.workers as
select a.said[1]::bigint as run_id,
       a.pid,
       a.said[2]::int as slice_no,
       a.said[3] as partition,
       case when a.wait_event_type = 'Lock' and a.wait_event <> 'extend' then 'waiting for a lock'
            else a.said[4] end as doing,
       a.state_change as since,
       s.retries,
       s.last_error
  from (
    select a.pid,
           a.wait_event_type,
           a.wait_event,
           a.state_change,
           pg_catalog.regexp_match(
             a.query, '^lrs_extract run (\d+) slice (\d+) \((.*)\): ([^:]*)$') as said
      from pg_catalog.pg_stat_activity a
     where a.backend_type = 'lrs_extract worker'
       and a.datname = pg_catalog.current_database()
  ) a
  left join lrs_extract.slice s on s.run_id = a.said[1]::bigint and s.slice_no = a.said[2]::int
 where a.said is not null;
comment on view lrs_extract.workers is 'The workers of runs that are under way, and what each is doing now; of other roles'' workers, only with pg_read_all_stats';
comment on column lrs_extract.workers.run_id is 'The run it works for';
comment on column lrs_extract.workers.pid is 'Its process';
comment on column lrs_extract.workers.slice_no is 'The slice it has';
comment on column lrs_extract.workers.partition is 'The source''s partition that holds the slice';
comment on column lrs_extract.workers.doing is 'connecting to the source, waiting for the source, paused by pause_while, throttled by max_bytes_per_second, transforming, inserting, comparing, committing, waiting for a lock, or retrying';
comment on column lrs_extract.workers.since is 'Since when';
comment on column lrs_extract.workers.retries is 'How often the slice was tried again';
comment on column lrs_extract.workers.last_error is 'What the last retry was about';

create view lrs_extract.progress as
select r.run_id,
       r.pipeline,
       r.state,
       e.share_done,
       r.rows,
       w.rows / w.seconds as rows_per_second,
       w.bytes / w.seconds as bytes_per_second,
       case when r.state = 'running'
            then pg_catalog.make_interval(secs =>
                   -- A repair compares many rows and pulls few.
                   case r.kind when 'repair' then e.rows_left * w.seconds / nullif(e.rows_done, 0)
                               else e.rows_left / nullif(w.rows / w.seconds, 0) end)
       end as time_left,
       r.watermark,
       case when r.state = 'running' then l.workers end as workers,
       r.kind
  from lrs_extract.runs r
 cross join lateral (
   -- By the plan's estimates. A slice that has more rows than that is nearly done, not more.
   select case when r.state = 'done' then 1
               else coalesce(pg_catalog.sum(s.done) / nullif(pg_catalog.sum(s.estimated), 0), 0)
          end::double precision as share_done,
          (pg_catalog.sum(s.estimated) - pg_catalog.sum(s.done))::double precision as rows_left,
          pg_catalog.sum(s.done)::double precision as rows_done
     from (
       select greatest(s.estimated_rows, 1) as estimated,
              case when s.state = 'done' then greatest(s.estimated_rows, 1)
                   else least(s.rows + s.rejected + s.skipped, greatest(s.estimated_rows, 1) * 0.99)
              end as done
         from lrs_extract.slice s
        where s.run_id = r.run_id
     ) s
 ) e
 cross join lateral (
   -- A running one by its last minute, as long as batches end in it; else the whole run.
   select case when recent.rows > 0 then recent.rows else r.rows end::double precision as rows,
          case when recent.rows > 0 then recent.bytes else r.bytes end::double precision as bytes,
          greatest(
            extract(epoch from
              case when r.state = 'running' then pg_catalog.clock_timestamp()
                   else coalesce(
                     r.finished_at,
                     -- One that no process closed has its last sign of life.
                     (select pg_catalog.max(b.finished_at)
                        from lrs_extract.batch b
                       where b.run_id = r.run_id),
                     r.started_at) end
              - case when recent.rows > 0
                     then greatest(r.started_at, pg_catalog.clock_timestamp() - interval '1 minute')
                     else r.started_at end),
            0.001)::double precision as seconds
     from (
       select pg_catalog.sum(b.rows + b.rejected + b.skipped) as rows, pg_catalog.sum(b.bytes) as bytes
         from lrs_extract.batch b
        where r.state = 'running'
          and r.kind = 'pull'
          and b.run_id = r.run_id
          and b.finished_at > pg_catalog.clock_timestamp() - interval '1 minute'
     ) recent
 ) w
  left join (
   select w.run_id,
          pg_catalog.jsonb_agg(pg_catalog.to_jsonb(w) - 'run_id' order by w.pid) as workers
     from lrs_extract.workers w
    group by w.run_id
 ) l on l.run_id = r.run_id;
comment on view lrs_extract.progress is 'How far each run is: share done and time left by the plan''s estimates, its rate over the last minute, and what each worker is doing now, with the retries of its slice and what the last was about';
comment on column lrs_extract.progress.run_id is 'The run''s number';
comment on column lrs_extract.progress.pipeline is 'The pipeline''s name';
comment on column lrs_extract.progress.state is 'As in runs';
comment on column lrs_extract.progress.share_done is 'From 0 to 1, by the plan''s estimates';
comment on column lrs_extract.progress.rows is 'Rows committed into the target';
comment on column lrs_extract.progress.rows_per_second is 'Of the last minute, rejects included; of the whole run once it has ended';
comment on column lrs_extract.progress.bytes_per_second is 'The same in bytes read from the source';
comment on column lrs_extract.progress.time_left is 'By the estimates and that rate; null unless it runs';
comment on column lrs_extract.progress.watermark is 'Up to here the run''s period is pulled without a gap';
comment on column lrs_extract.progress.workers is 'A JSON array with the rows of the view workers';

comment on column lrs_extract.progress.kind is 'pull or repair';
