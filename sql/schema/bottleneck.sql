create view lrs_extract.bottleneck as
select t.run_id,
       t.source / t.whole as source_share,
       t.transform / t.whole as transform_share,
       t.insert / t.whole as insert_share,
       t.commit / t.whole as commit_share,
       t.lock / t.whole as lock_share,
       t.throttle / t.whole as throttle_share,
       v.verdict,
       pg_catalog.concat_ws(' ', case v.verdict
         when 'source' then
           case when t.warning is not null then 'Waiting for the source: ' || t.warning
                when t.batches = 0
                then 'Waiting for the source, which has brought no batch yet: see doing and last_error of the workers in lrs_extract.workers.'
                else 'The source is the limit: it delivers '
                     || pg_catalog.pg_size_pretty((t.bytes / greatest(t.seconds, 0.001))::bigint)
                     || ' a second. More jobs read side by side; a standby, or a quieter hour, spares production.'
           end
         when 'transform' then
           case when t.fallbacks * 10 > t.rows
                then 'Making values is the limit, and the server makes many of them: see batch.fallbacks and lrs_extract.fast_jsonb.'
                else 'Making values is the limit: raise lrs_extract.transform_threads, or jobs, while cores are idle.'
           end
         when 'insert' then
           case when t.kind = 'repair' and j.most is null
                then 'Comparing the target is the limit. An index of the target that begins with its time column lets it read the ranges that are compared alone.'
                when j.most is not null then 'Refused rows are the limit: ' || j.most
                when g.triggers is not null and t.rows_read > t.rows
                then 'INSERT is the limit, and row triggers run for each row: ' || g.triggers || '. Where they put rows into other tables, partition the target declaratively instead (partition by range).'
                when g.triggers is not null
                then 'INSERT is the limit, and row triggers run for each row: ' || g.triggers || '. Disable them for the load, or make them statement triggers.'
                when g.indexes is not null
                then 'INSERT is the limit, and these indexes are kept up row by row: ' || g.indexes || '. For a backfill, drop them first and create them after it.'
                else 'INSERT is the limit: the stage''s storage, or its CPU. More jobs while cores are idle; max_wal_size so large that checkpoints are rare.'
           end
         when 'commit' then
           case when j.most is not null then 'Refused rows are the limit: ' || j.most
                when g.deferred is not null
                then 'Commits are the limit, and deferred constraints are checked in each, row by row: ' || g.deferred || '. Drop or disable them for the load, or make them immediate.'
                when t.rows < 2000 * t.batches
                then 'The batches are tiny (' || (t.rows / greatest(t.batches, 1))::bigint || ' rows each), so the checkpoints and commits cost most: raise batch to 50000.'
                when pg_catalog.current_setting('synchronous_standby_names') <> ''
                then 'Commits are the limit: each waits for a synchronous standby, see pg_stat_replication. Raise batch, repair the standby, or set synchronous_commit = local for the call.'
                else 'Commits are the limit: the WAL''s storage is slow to flush. Raise batch, put pg_wal on faster storage, or set synchronous_commit = off for the call.'
           end
         when 'lock' then 'The workers wait for locks on the target: see pg_blocking_pids(pid) of the workers in lrs_extract.progress, and end or reschedule what holds them.'
         when 'throttle' then 'Held back on purpose, by pause_while or max_bytes_per_second of pipeline ' || pg_catalog.quote_literal(t.pipeline) || '. Raise or clear them to go faster.'
         else case when t.batches = 0 then 'No batch has been committed yet, and no worker is seen.'
                   else 'No step stands out; more jobs while cores are idle.' end
       end,
       case when v.verdict <> 'source' then 'The plan warned: ' || t.warning end,
       case when v.verdict not in ('insert', 'commit') then j.most end,
       case when t.rows_read > t.rows
            then 'A trigger or a rule of ' || coalesce(t.target, 'the target') || ' took ' || (t.rows_read - t.rows) || ' of ' || t.rows_read || ' rows away, or put them elsewhere: lrs_extract.verify tells which.' end) as advice,
       t.kind
  from (
    select r.run_id,
           coalesce((select p.name from lrs_extract.pipeline p where p.pipeline_id = r.pipeline_id), r.pipeline) as pipeline,
           r.pipeline_id,
           r.kind,
           r.target,
           r."from",
           r."to",
           b.batches,
           b.rows,
           b.rejected,
           b.rows_read,
           b.bytes,
           b.fallbacks,
           b.seconds,
           p.*,
           greatest(p.source + p.transform + p.insert + p.commit + p.lock + p.throttle, 0.001) as whole,
           w.warning
      from lrs_extract.run r
     cross join lateral (
       select pg_catalog.count(*) as batches,
              coalesce(pg_catalog.sum(b.rows + b.rejected + b.skipped), 0) as rows,
              coalesce(pg_catalog.sum(b.rejected), 0) as rejected,
              coalesce(pg_catalog.sum(b.rows_read), 0) as rows_read,
              coalesce(pg_catalog.sum(b.bytes), 0) as bytes,
              coalesce(pg_catalog.sum(b.fallbacks), 0) as fallbacks,
              coalesce(pg_catalog.sum(b.source_wait_ms), 0) as source,
              coalesce(pg_catalog.sum(b.transform_ms), 0) as transform,
              coalesce(pg_catalog.sum(greatest(b.insert_ms - b.lock_ms, 0)), 0) as insert,
              coalesce(pg_catalog.sum(b.commit_ms), 0) as stated,
              coalesce(pg_catalog.sum(greatest(b.elapsed_ms - b.source_wait_ms - b.transform_ms - b.throttle_ms
                - greatest(b.insert_ms, b.lock_ms) - coalesce(b.commit_ms, 0), 0)), 0) as rest,
              coalesce(pg_catalog.sum(b.lock_ms), 0) as lock,
              coalesce(pg_catalog.sum(b.throttle_ms), 0) as throttle,
              coalesce(pg_catalog.sum(b.elapsed_ms), 0) / 1000 as seconds
         from lrs_extract.batch b
        where b.run_id = r.run_id
     ) b
      left join (
       -- And what the workers are at since when: a batch may be long in coming.
       select n.run_id,
              pg_catalog.sum(n.ms) filter (where n.doing ~ 'source|retrying') as source,
              pg_catalog.sum(n.ms) filter (where n.doing = 'transforming') as transform,
              pg_catalog.sum(n.ms) filter (where n.doing in ('inserting', 'comparing')) as insert,
              pg_catalog.sum(n.ms) filter (where n.doing = 'committing') as commit,
              pg_catalog.sum(n.ms) filter (where n.doing = 'waiting for a lock') as lock,
              pg_catalog.sum(n.ms) filter (where n.doing ~ '^(paused|throttled)') as throttle
         from (
           select w.run_id,
                  w.doing,
                  extract(epoch from pg_catalog.clock_timestamp() - w.since)::double precision * 1000 as ms
             from lrs_extract.workers w
         ) n
        group by n.run_id
     ) n on n.run_id = r.run_id
     cross join lateral (
       select b.source + coalesce(n.source, 0) as source,
              b.transform + coalesce(n.transform, 0) as transform,
              b.insert + coalesce(n.insert, 0) as insert,
              -- What no step accounts for is the checkpoint: the ledger's own rows, and the transaction.
              b.stated + b.rest + coalesce(n.commit, 0) as commit,
              b.lock + coalesce(n.lock, 0) as lock,
              b.throttle + coalesce(n.throttle, 0) as throttle
     ) p
     cross join lateral (
       -- One stands for all; a missing index before a heap in another order.
       select (pg_catalog.array_agg(s.warning order by s.warning like 'no index%' desc, s.slice_no))[1]
              || case when pg_catalog.count(distinct s.partition) > 1
                      then ' (so also ' || (pg_catalog.count(distinct s.partition) - 1) || ' more partitions: see lrs_extract.slice)'
                      else '' end as warning
         from lrs_extract.slice s
        where s.run_id = r.run_id and s.warning is not null
     ) w
  ) t
 cross join lateral (
   select case when pg_catalog.max(p.ms) >= 0.4 * t.whole
               then (pg_catalog.array_agg(p.name order by p.ms desc))[1]
               else 'balanced' end as verdict
     from (values ('source', t.source), ('transform', t.transform), ('insert', t.insert),
                  ('commit', t.commit), ('lock', t.lock), ('throttle', t.throttle)) p (name, ms)
 ) v
  left join lateral (
   -- A tenth or more was refused: what the most of them were refused for.
   select t.rejected || ' of ' || t.rows_read || ' rows were refused, each after tries of its own, and written to lrs_extract.reject. '
          || m.count || ' of them: ' || m.example || ' (SQLSTATE ' || m.sqlstate || '). Correct the target, the mapping or the source first; on_conflict ''skip'' leaves out rows that the target has already.' as most
     from (
       select j.sqlstate, pg_catalog.count(*) as count, pg_catalog."left"(pg_catalog.min(j.message), 500) as example
         from lrs_extract.reject j
        where j.pipeline_id = t.pipeline_id
          and j."timestamp" >= t."from"
          and j."timestamp" < t."to"
          and j.run_id = t.run_id
        group by j.column_name, j.sqlstate
        order by 2 desc
        limit 1
     ) m
    where t.rejected * 10 >= t.rows and t.rejected > 0
 ) j on true
  left join lateral (
   select (select pg_catalog.string_agg(g.tgname::text, ', ' order by g.tgname)
             from pg_catalog.pg_trigger g
            where g.tgrelid = o.oid and not g.tgisinternal and g.tgenabled <> 'D'
              and g.tgtype & 5 = 5 and not g.tginitdeferred
              -- TimescaleDB's own keep rows out of a hypertable's root, and run for none of its chunks'.
              and not exists (select
                                from pg_catalog.pg_proc f
                                join pg_catalog.pg_namespace s on s.oid = f.pronamespace
                               where f.oid = g.tgfoid and s.nspname like '\_timescaledb\_%')) as triggers,
          (select pg_catalog.string_agg(distinct coalesce(c.conname, g.tgname)::text, ', ')
             from pg_catalog.pg_trigger g
             left join pg_catalog.pg_constraint c on c.oid = g.tgconstraint
            where g.tgrelid = o.oid and g.tgenabled <> 'D'
              and g.tgtype & 5 = 5 and g.tginitdeferred) as deferred,
          (select pg_catalog.string_agg(x.indexrelid::pg_catalog.regclass::text, ', ' order by x.indexrelid)
             from pg_catalog.pg_index x
            where x.indrelid = o.oid) as indexes
     -- By the catalog's rows: to_regclass would take USAGE on the target's schema.
     from pg_catalog.pg_class o
     join pg_catalog.pg_namespace n on n.oid = o.relnamespace
    where n.nspname = (pg_catalog.parse_ident(t.target))[1]
      and o.relname = (pg_catalog.parse_ident(t.target))[2]
 ) g on true;
comment on view lrs_extract.bottleneck is 'For each run, the shares of its workers'' time up to now, the step to act on, and what to do about it';
comment on column lrs_extract.bottleneck.run_id is 'The run''s number';
comment on column lrs_extract.bottleneck.source_share is 'Waiting for the source, from 0 to 1';
comment on column lrs_extract.bottleneck.transform_share is 'Waiting for values to be made, or making them';
comment on column lrs_extract.bottleneck.insert_share is 'In INSERT';
comment on column lrs_extract.bottleneck.commit_share is 'In commits and the ledger''s own rows';
comment on column lrs_extract.bottleneck.lock_share is 'Waiting for locks';
comment on column lrs_extract.bottleneck.throttle_share is 'Held back by pause_while or max_bytes_per_second';
comment on column lrs_extract.bottleneck.verdict is 'source, transform, insert, commit, lock or throttle: the step that takes 0.4 of the time or more; else balanced';
comment on column lrs_extract.bottleneck.advice is 'What to do about it, in words';
comment on column lrs_extract.bottleneck.kind is 'pull or repair';
