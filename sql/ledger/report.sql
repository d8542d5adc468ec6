-- All that a report shows of run $1, as one document, so that all of it is of one moment; times
-- are microseconds since 1970. $2: the stage's counters as they stand now
select json_build_object(
         'as_of', (extract(epoch from clock_timestamp()) * 1000000)::bigint,
         'run', (
           select to_json(x)
             from (select r.run_id, r.kind, r.pipeline, r.state, r.batch_size, r.jobs, r.commit_mode, r.again,
                          r.caller, r.target, r.sqlstate, r.error, r.detail, r.hint,
                          r.rows, r.rejected, r.skipped, r.rows_read, r.bytes,
                          p.share_done, p.rows_per_second, p.bytes_per_second,
                          extract(epoch from p.time_left) as seconds_left,
                          (extract(epoch from r."from") * 1000000)::bigint as "from",
                          (extract(epoch from r."to") * 1000000)::bigint as "to",
                          (extract(epoch from r.started_at) * 1000000)::bigint as started_at,
                          (extract(epoch from r.finished_at) * 1000000)::bigint as finished_at,
                          (extract(epoch from r.watermark) * 1000000)::bigint as watermark,
                          (select coalesce(sum(b.fallbacks), 0)::bigint
                             from lrs_extract.batch b
                            where b.run_id = r.run_id) as fallbacks
                     from lrs_extract.progress p
                    where p.run_id = r.run_id) x),
         'differences', (
           select to_json(x)
             from (select count(*) as ranges,
                          coalesce(sum(d.missing), 0)::bigint as missing,
                          coalesce(sum(d.surplus), 0)::bigint as surplus,
                          coalesce(sum(d.changed), 0)::bigint as changed,
                          coalesce(sum(d.pulled), 0)::bigint as pulled,
                          coalesce(sum(d.deleted), 0)::bigint as deleted
                     from lrs_extract.difference d
                    where d.run_id = r.run_id) x),
         'shares', (
           select to_json(x)
             from (select b.source_share as source, b.transform_share as transform,
                          b.insert_share as insert, b.commit_share as commit, b.lock_share as lock,
                          b.throttle_share as throttle, b.verdict, b.advice
                     from lrs_extract.bottleneck b
                    where b.run_id = r.run_id) x),
         'stage', (
           select json_build_object(
                    'wal_bytes', r.wal_bytes,
                    'start', n.stage_start,
                    'end', coalesce(n.stage_end, case when r.state = 'running' then $2::jsonb end))
             from lrs_extract.run n
            where n.run_id = r.run_id),
         'slices', (
           select coalesce(json_agg(x order by x.slice_no), '[]')
             from (select s.slice_no, s.partition, s.state, s.worker,
                          coalesce(s.estimated_rows, 0) as estimated_rows, s.rows, s.rejected, s.warning, s.walk,
                          (extract(epoch from s."from") * 1000000)::bigint as "from",
                          (extract(epoch from s."to") * 1000000)::bigint as "to",
                          (extract(epoch from s.started_at) * 1000000)::bigint as started_at,
                          (extract(epoch from s.finished_at) * 1000000)::bigint as finished_at
                     from lrs_extract.slice s
                    where s.run_id = r.run_id) x),
         'batches', (
           select coalesce(json_agg(x order by x.finished_at), '[]')
             from (select b.rows, b.rejected, b.source_wait_ms, b.transform_ms, b.insert_ms,
                          b.commit_ms, b.lock_ms, b.throttle_ms, b.elapsed_ms,
                          (extract(epoch from b.finished_at) * 1000000)::bigint as finished_at
                     from lrs_extract.batch b
                    where b.run_id = r.run_id) x),
         'rejects', (
           select coalesce(json_agg(x order by x.count desc, x.sqlstate, x."column"), '[]')
             from (select j.column_name as "column", j.sqlstate, count(*) as count,
                          left(min(j.message), 1000) as example
                     from lrs_extract.reject j
                    where j.run_id = r.run_id
                    group by 1, 2
                    order by 3 desc
                    limit 20) x))::text
  from lrs_extract.runs r
 where r.run_id = $1
