\echo Use "alter extension lrs_extract update" to load this file. \quit

-- A call of 0.1.0 that is under way would go on under a lock, and by names, that 0.2.0 does not know. The
-- locks are those of its leaders and workers; no call of 0.1.0 begins while they are held here.
do $do$
declare
  pipeline text;
begin
  for pipeline in
    select p.name from lrs_extract.pipeline p
     union
    select r.pipeline from lrs_extract.run r where r.state = 'running'
  loop
    if not pg_catalog.pg_try_advisory_xact_lock(1819439904, pg_catalog.hashtext(pipeline))
       or not pg_catalog.pg_try_advisory_xact_lock(1819439991, pg_catalog.hashtext(pipeline)) then
      raise exception 'pipeline "%" is in use', pipeline
        using errcode = '55006',
              detail = 'The extension cannot be updated while a call of pull, dedup, replay or forget is under way.',
              hint = 'Wait for the call, or stop it: select lrs_extract.cancel(run_id) from lrs_extract.runs where state = ''running''; then alter extension lrs_extract update;';
    end if;
  end loop;
end
$do$;

alter table lrs_extract.pipeline
  add column walk        text not null default 'auto',
  add column on_conflict text not null default 'error',
  add column max_rejects text,
  add column time_zone   text not null default 'UTC',
  add column pipeline_id uuid not null unique default gen_random_uuid(),
  add column lookback    interval,
  add constraint pipeline_on_conflict_check check (on_conflict in ('error', 'skip')),
  add constraint pipeline_max_rejects_check check (max_rejects ~ '^([0-9]{1,18}|[0-9]{1,3}([.][0-9]{1,9})? ?%)$'),
  add constraint pipeline_walk_check check (walk in ('auto', 'key', 'heap')),
  add constraint pipeline_lookback_check check (lookback > interval '0');

alter table lrs_extract.run
  add column target_id    text,
  add column server       text,
  add column source_table text,
  add column source_id    text,
  add column pipeline_id  uuid,
  add column kind         text not null default 'pull',
  add constraint run_kind_check check (kind in ('pull', 'repair'));

create sequence lrs_extract.heap_scan_id_seq;

create table lrs_extract.heap_scan (
  scan_id       bigint primary key,
  pipeline      text not null,
  run_id        bigint not null,
  partition     text not null,
  "from"        timestamptz not null,
  from_actor_id bigint,
  "to"          timestamptz not null,
  to_actor_id   bigint,
  relation      oid not null,
  filenode      oid not null,
  horizon       bigint not null,
  updates       text,
  new_versions  bigint not null default 0,
  state         text not null default 'unfinished',
  opened_at     timestamptz not null default clock_timestamp(),
  closed_at     timestamptz,
  pipeline_id   uuid not null,
  constraint heap_scan_state_check check (state in ('unfinished', 'done', 'forgotten'))
);
create index heap_scan_unfinished_idx on lrs_extract.heap_scan (pipeline_id) where state = 'unfinished';

alter table lrs_extract.slice
  add column walk            text,
  add column scan_id         bigint references lrs_extract.heap_scan,
  add column from_block      bigint,
  add column to_block        bigint,
  add column block_watermark bigint,
  add column rows_read       bigint not null default 0,
  add column pipeline_id     uuid,
  add column skipped         bigint not null default 0;

alter table lrs_extract.batch
  add column rows_read bigint not null default 0,
  add column skipped   bigint not null default 0;

create table lrs_extract.difference (
  run_id        bigint not null,
  batch_no      int not null,
  partition     text not null,
  "from"        timestamptz not null,
  "to"          timestamptz not null,
  source_rows   bigint not null,
  target_rows   bigint not null,
  rejected_rows bigint not null,
  missing       bigint not null,
  surplus       bigint not null,
  changed       bigint not null,
  pulled        bigint not null,
  deleted       bigint not null,
  primary key (run_id, batch_no)
);

alter table lrs_extract.reject
  add column pipeline_id uuid;

-- 0.1.0 knew a pipeline by its name. A name that is gone has been a pipeline, too: what it pulled is still in
-- the target.
with known as materialized (
  select p.name, p.pipeline_id from lrs_extract.pipeline p
   union all
  select gone.name, pg_catalog.gen_random_uuid()
    from (select r.pipeline as name from lrs_extract.run r
          except
          select p.name from lrs_extract.pipeline p) gone
)
update lrs_extract.run r
   set pipeline_id = known.pipeline_id
  from known
 where known.name = r.pipeline;

-- 0.1.0 counted as inserted what it had read and not rejected, and kept a range each time that it was forgotten.
update lrs_extract.slice s
   set pipeline_id = r.pipeline_id,
       rows_read = s.rows + s.rejected,
       forgotten = array(select distinct f from pg_catalog.unnest(s.forgotten) f)
  from lrs_extract.run r
 where r.run_id = s.run_id;
update lrs_extract.batch b
   set rows_read = b.rows + b.rejected;
update lrs_extract.reject j
   set pipeline_id = r.pipeline_id
  from lrs_extract.run r
 where r.run_id = j.run_id;

-- A session that still has the library of 0.1.0, or a dump of 0.1.0, shall write no rows that nobody finds.
alter table lrs_extract.run alter column pipeline_id set not null;
alter table lrs_extract.slice alter column pipeline_id set not null;
alter table lrs_extract.reject alter column pipeline_id set not null;

drop index if exists lrs_extract.run_pipeline_idx;
create index run_pipeline_idx on lrs_extract.run (pipeline_id, run_id);
drop index if exists lrs_extract.slice_pipeline_idx;
create index slice_pipeline_idx on lrs_extract.slice (pipeline_id, "to");
create index slice_scan_idx on lrs_extract.slice (scan_id) where scan_id is not null;
drop index if exists lrs_extract.reject_pipeline_idx;
create index reject_pipeline_idx on lrs_extract.reject (pipeline_id, "timestamp");

select pg_catalog.pg_extension_config_dump('lrs_extract.heap_scan_id_seq', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.heap_scan', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.difference', '');

-- A shipped pipeline that is as 0.1.0 shipped it still gives way to one that is restored; a changed one does not.
do $do$
begin
  perform pg_catalog.set_config('intervalstyle', 'postgres', true);
  execute pg_catalog.format(
    $create$
      create or replace function lrs_extract.replace_shipped_pipeline() returns trigger
      language plpgsql
      set search_path = pg_catalog, pg_temp set intervalstyle = 'postgres'
      as $body$
      begin
        -- Who may insert a pipeline need not be allowed to replace one.
        if not has_table_privilege('lrs_extract.pipeline', 'select') then
          return new;
        end if;
        -- One that has been pulled is in use.
        if has_table_privilege('lrs_extract.pipeline', 'delete')
           and has_table_privilege('lrs_extract.run', 'select') then
          delete from lrs_extract.pipeline p
           where p.name = new.name
             and not exists (select from lrs_extract.run r where r.pipeline_id = p.pipeline_id)
             and sha256(convert_to(p::text, 'UTF8')) = %L;
        end if;
        -- A copy of a row is another pipeline.
        if exists (select from lrs_extract.pipeline p where p.pipeline_id = new.pipeline_id) then
          new.pipeline_id := gen_random_uuid();
        end if;
        return new;
      end
      $body$
    $create$,
    coalesce(
      (select pg_catalog.sha256(pg_catalog.convert_to(p::text, 'UTF8'))
         from lrs_extract.pipeline p
        where p.name = 'aidt'
          and (p.server, p.source_table, p.timestamp_column, p.actor_column, p.statement_column, p.target_table,
               p.slice_width, p.on_bad_value, p.settle, p.retries, p.retry_delay)
            = ('lrs_source', 'acid.lrs_statement_new', 'timestamp', 'actor_id', 'full_statement', 'pipeline.aidt_raw',
               interval '10 days', 'reject', interval '5 minutes', 8, interval '1 second')
          and p.max_bytes_per_second is null
          and p.pause_while is null
          and p.mapping = '{
                "id": {"path": ["id"]},
                "user_id": {"first_of": [["actor", "account", "name"], ["actor", "mbox"],
                                         ["actor", "mbox_sha1sum"], ["actor", "openid"]]},
                "object_type": {"path": ["object", "objectType"], "default": "Activity"},
                "statement": {"statement": true},
                "timestamp": {"source": "timestamp"},
                "partner_id": {"const": null}
              }'::jsonb),
      ''::bytea));
end
$do$;

create function lrs_extract.keep_pipeline_id() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $body$
begin
  new.pipeline_id := old.pipeline_id;
  return new;
end
$body$;

create trigger keep_pipeline_id before update on lrs_extract.pipeline
  for each row when (old.pipeline_id is distinct from new.pipeline_id)
  execute function lrs_extract.keep_pipeline_id();

create or replace view lrs_extract.runs as
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

create or replace view lrs_extract.progress as
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

create or replace view lrs_extract.bottleneck as
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

-- verify() has other arguments and columns, so it is made anew.
select pg_catalog.set_config('lrs_extract_update.may_verify',
         coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))::text, true)
  from pg_catalog.pg_proc p
 where p.oid = 'lrs_extract.verify(timestamptz, timestamptz, text, text)'::regprocedure;
do $do$
declare
  dependent text;
begin
  drop function lrs_extract.verify(timestamptz, timestamptz, text, text);
exception
  when dependent_objects_still_exist then
    get stacked diagnostics dependent = pg_exception_detail;
    raise exception 'other objects depend on lrs_extract.verify(), which has more columns in 0.2.0'
      using errcode = '2BP01',
            detail = dependent,
            hint = 'Drop them, alter extension lrs_extract update, and create them again.';
end
$do$;
create function lrs_extract.verify(
  "from" timestamptz,
  "to" timestamptz,
  pipeline text default 'aidt',
  level text default 'count',
  jobs int default 1,
  max_rows int default 1000
) returns table (
  partition text,
  "from" timestamptz,
  "to" timestamptz,
  source_rows bigint,
  target_rows bigint,
  rejected_rows bigint,
  ok boolean,
  difference text,
  id text,
  actor_id bigint
)
volatile parallel unsafe
language c as 'MODULE_PATHNAME', 'verify_wrapper';

create function lrs_extract.repair(
  "from" timestamptz,
  "to" timestamptz,
  pipeline text default 'aidt',
  level text default 'count',
  surplus text default 'keep',
  dry_run boolean default false
) returns table (
  run_id bigint,
  partition text,
  "from" timestamptz,
  "to" timestamptz,
  source_rows bigint,
  target_rows bigint,
  rejected_rows bigint,
  missing bigint,
  surplus bigint,
  changed bigint,
  pulled bigint,
  deleted bigint,
  elapsed_ms double precision
)
volatile parallel unsafe
language c as 'MODULE_PATHNAME', 'repair_wrapper';

create function lrs_extract.check(pipeline text default 'aidt') returns table (
  name text,
  ok boolean,
  found text,
  advice text
)
volatile parallel unsafe
language c as 'MODULE_PATHNAME', 'check_pipeline_wrapper';

-- What is new belongs to whom the extension belongs to, whoever updates it.
do $do$
declare
  extension_owner text;
  object text;
begin
  select pg_catalog.pg_get_userbyid(e.extowner) into extension_owner
    from pg_catalog.pg_extension e
   where e.extname = 'lrs_extract';
  if extension_owner = current_user then
    return;
  end if;
  foreach object in array array[
    'table lrs_extract.heap_scan',
    'sequence lrs_extract.heap_scan_id_seq',
    'table lrs_extract.difference',
    'function lrs_extract.check(text)',
    'function lrs_extract.keep_pipeline_id()',
    'function lrs_extract.repair(timestamptz, timestamptz, text, text, text, boolean)',
    'function lrs_extract.verify(timestamptz, timestamptz, text, text, int, int)'
  ] loop
    execute pg_catalog.format('alter %s owner to %I', object, extension_owner);
  end loop;
end
$do$;

revoke all on function lrs_extract.check(text) from public;
revoke all on function lrs_extract.keep_pipeline_id() from public;
revoke all on function lrs_extract.repair(timestamptz, timestamptz, text, text, text, boolean) from public;
revoke all on function lrs_extract.verify(timestamptz, timestamptz, text, text, int, int) from public;

-- Who could call verify() still can. What an extension's script grants counts as shipped, and is in no dump: so
-- what was shipped is kept as it is.
do $do$
declare
  verify constant regprocedure := 'lrs_extract.verify(timestamptz, timestamptz, text, text, int, int)'::regprocedure;
  shipped aclitem[];
  granted record;
begin
  select i.initprivs into shipped
    from pg_catalog.pg_init_privs i
   where i.classoid = 'pg_catalog.pg_proc'::regclass and i.objoid = verify;
  for granted in
    select case a.grantee when 0 then 'public'
                else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end as role,
           case when a.is_grantable then ' with grant option' else '' end as option
      from pg_catalog.aclexplode(
             pg_catalog.current_setting('lrs_extract_update.may_verify')::aclitem[]) a
      join pg_catalog.pg_proc p on p.oid = verify
     where a.grantee <> p.proowner
  loop
    execute pg_catalog.format('grant execute on function %s to %s%s', verify, granted.role, granted.option);
  end loop;
  update pg_catalog.pg_init_privs i
     set initprivs = shipped
   where i.classoid = 'pg_catalog.pg_proc'::regclass and i.objoid = verify;
end
$do$;

comment on column lrs_extract.pipeline.retries is 'How often in a row a page is tried again after a transient failure; can be changed during a run';
comment on column lrs_extract.pipeline.retry_delay is 'The wait before the first retry; it doubles up to one minute; can be changed during a run';
comment on column lrs_extract.pipeline.max_bytes_per_second is 'Upper bound for what is read from the source, all workers together; null: none; can be changed during a run';
comment on column lrs_extract.pipeline.pause_while is 'A query for one boolean, asked of the source before each page; while true, nothing is read; can be changed during a run';
comment on column lrs_extract.pipeline.on_conflict is 'What becomes of a row whose unique key the target has already: error (it is refused, and on_bad_value decides), skip (it is left out, and counted in skipped)';
comment on column lrs_extract.pipeline.time_zone is 'Of times in statements that come without a zone and go into a timestamptz';
comment on column lrs_extract.pipeline.max_rejects is 'How many rows a run may reject before it ends: a number, or a share of the rows read, such as 5 %, looked at from 1000 rows on; null: it ends when its first 10000 rows were all refused';
comment on column lrs_extract.pipeline.walk is 'How partitions are walked: ''key'', by the index in the order of keys; ''heap'', block after block; ''auto'', by what the source''s statistics make of either';
comment on column lrs_extract.pipeline.lookback is 'How much time before its period a pull compares with the source when it is through, by counts, and repairs; null: none';
comment on column lrs_extract.pipeline.pipeline_id is 'What the ledger knows the pipeline by, under whatever name; set by itself, and anew in a copy of a row';
comment on table lrs_extract.run is 'One row for each call of pull() or repair()';
comment on column lrs_extract.run.pipeline is 'The pipeline''s name then; the view runs has that of today';
comment on column lrs_extract.run.pipeline_id is 'The pipeline, under whatever name';
comment on column lrs_extract.run.kind is 'pull or repair';
comment on column lrs_extract.run.finished_at is 'When it ended; null while it runs, and where no process was left to close it';
comment on column lrs_extract.run.target_id is 'The same table by the system identifier of the stage''s cluster and the oids of database and table: it counts as long as a table has it';
comment on column lrs_extract.run.server is 'The foreign server that was read, as the pipeline named it';
comment on column lrs_extract.run.source_table is 'The source''s table, as the pipeline named it';
comment on column lrs_extract.run.source_id is 'The same table by the system identifier of the source''s cluster and the oids of database and table, which a standby shares; null where the source does not tell';
comment on column lrs_extract.run.stage_end is 'The same when the run ended; null where no process was left to read them';
comment on sequence lrs_extract.heap_scan_id_seq is 'Numbers the scans of heaps';
comment on table lrs_extract.heap_scan is 'Partitions whose heaps are read block by block, in one run or in several; what they hold of the period counts as pulled when all blocks are read';
comment on column lrs_extract.heap_scan.scan_id is 'The scan''s number, from lrs_extract.heap_scan_id_seq';
comment on column lrs_extract.heap_scan.pipeline is 'The pipeline''s name then';
comment on column lrs_extract.heap_scan.pipeline_id is 'The pipeline, under whatever name';
comment on column lrs_extract.heap_scan.run_id is 'The run that began it';
comment on column lrs_extract.heap_scan.partition is 'The source''s partition';
comment on column lrs_extract.heap_scan."from" is 'Where the period begins whose rows it takes';
comment on column lrs_extract.heap_scan."to" is 'Where that period ends';
comment on column lrs_extract.heap_scan.from_actor_id is 'As in slice';
comment on column lrs_extract.heap_scan.to_actor_id is 'As in slice';
comment on column lrs_extract.heap_scan.relation is 'The partition''s oid on the source';
comment on column lrs_extract.heap_scan.filenode is 'The partition''s file there, in which blocks are counted; a scan of one that was rewritten cannot be continued';
comment on column lrs_extract.heap_scan.horizon is 'The oldest transaction that was running on the source when the scan began: it takes row versions that are older';
comment on column lrs_extract.heap_scan.updates is 'What the source had counted of updates then';
comment on column lrs_extract.heap_scan.new_versions is 'Row versions met that are newer';
comment on column lrs_extract.heap_scan.state is 'unfinished, done, forgotten';
comment on column lrs_extract.heap_scan.opened_at is 'When it began';
comment on column lrs_extract.heap_scan.closed_at is 'When its last block was read and committed, or it was forgotten';
comment on column lrs_extract.slice.pipeline is 'The pipeline''s name then';
comment on column lrs_extract.slice.pipeline_id is 'The pipeline, under whatever name';
comment on column lrs_extract.slice.rows_read is 'Rows that came from the source';
comment on column lrs_extract.slice.skipped is 'Rows left out because the target has their unique key already, with on_conflict skip';
comment on column lrs_extract.slice.watermark is 'Of a slice of a heap only once the scan is done. Everything before this edge is in the target or in reject: with watermark_actor_id null, all rows before this timestamp; else all keys up to and including (watermark, watermark_actor_id)';
comment on column lrs_extract.slice.walk is 'Which way the slice is walked, and why: by key or by heap, with the estimates that decided';
comment on column lrs_extract.slice.scan_id is 'The scan of a heap that the slice is part of; null: it is walked by key';
comment on column lrs_extract.slice.from_block is 'The first block of the slice';
comment on column lrs_extract.slice.to_block is 'The block after its last; null: it goes to the end of the heap';
comment on column lrs_extract.slice.block_watermark is 'The rows of all blocks from from_block to before this one are in the target or in reject';
comment on column lrs_extract.batch.rows is 'Rows inserted into the target, as the server tells';
comment on column lrs_extract.batch.rows_read is 'Rows that came from the source; more than rows, rejected and skipped together where a trigger or a rule of the target takes rows away';
comment on column lrs_extract.batch.skipped is 'Rows left out because the target has their unique key already, with on_conflict skip';
comment on column lrs_extract.batch.fallbacks is 'Statements whose jsonb the server made, because the fast reader did not accept them';
comment on column lrs_extract.batch.lock_ms is 'Time in which the worker was observed waiting for a lock, mostly within insert_ms; sampled ten times a second';
comment on column lrs_extract.batch.commit_ms is 'Time of the commit that ended the batch; null until the worker''s next transaction writes it';
comment on table lrs_extract.difference is 'One row for each range in which source and stage differed, written in the transaction that repaired it; those of runs that were deleted go with the next run';
comment on column lrs_extract.difference.run_id is 'The run that repaired it';
comment on column lrs_extract.difference.batch_no is 'The batch of that run';
comment on column lrs_extract.difference.partition is 'The source''s partition';
comment on column lrs_extract.difference."from" is 'Where the range begins, inclusive';
comment on column lrs_extract.difference."to" is 'Where it ends, exclusive';
comment on column lrs_extract.difference.source_rows is 'Rows of the source; of a timestamp with very many rows, only those whose hashes differed';
comment on column lrs_extract.difference.target_rows is 'Rows of the target before the repair; likewise';
comment on column lrs_extract.difference.rejected_rows is 'Rows in reject before the repair; likewise';
comment on column lrs_extract.difference.missing is 'Statements of the source that were neither in the target nor in reject';
comment on column lrs_extract.difference.surplus is 'Statements in the target or in reject that the source does not have';
comment on column lrs_extract.difference.changed is 'Statements that are missing and surplus under the same id, each counted in both';
comment on column lrs_extract.difference.pulled is 'Statements that were brought over; they went into the target or to reject';
comment on column lrs_extract.difference.deleted is 'Rows that were deleted from the target or from reject';
comment on column lrs_extract.reject.pipeline is 'The pipeline''s name then';
comment on column lrs_extract.reject.pipeline_id is 'The pipeline, under whatever name';
comment on column lrs_extract.reject.statement is 'The statement''s text as the source sent it; bytes that are no UTF-8 come as \xNN; null also where the source could not send the row';
comment on column lrs_extract.reject.altered is 'Whether bytes of the row are written as \xNN, or the source could not send the row and nothing but its key is here: replay() then leaves it alone';
comment on function lrs_extract.replace_shipped_pipeline() is 'Lets a restored row take the place of the shipped one, and gives a copied row an id of its own';
comment on trigger replace_shipped_pipeline on lrs_extract.pipeline is 'Lets a restored row take the place of the shipped one, and gives a copied row an id of its own';
comment on function lrs_extract.keep_pipeline_id() is 'Leaves a pipeline''s id as it is, also where an upsert sets all columns';
comment on trigger keep_pipeline_id on lrs_extract.pipeline is 'Leaves a pipeline''s id as it is';
comment on view lrs_extract.runs is 'Each run with its sums; a run whose processes are gone is interrupted, and the same call resumes it. Checkpoints of the server and autovacuums of the target are counted when it has ended';
comment on column lrs_extract.runs.pipeline is 'The pipeline''s name of today; that of the run where it is gone';
comment on column lrs_extract.runs.rows_read is 'Rows that came from the source for them; more than rows, rejected and skipped together where a trigger or a rule of the target takes rows away';
comment on column lrs_extract.runs.skipped is 'Rows left out because the target has their unique key already, with on_conflict skip';
comment on column lrs_extract.runs.checkpoints_timed is 'Checkpoints of the server during the run that were timed; null while the run is in progress';
comment on column lrs_extract.runs.autovacuums is 'Autovacuums of the target during the run';
comment on column lrs_extract.runs.autoanalyzes is 'Automatic ANALYZE of the target during the run';
comment on column lrs_extract.runs.kind is 'pull or repair';
comment on column lrs_extract.workers.doing is 'connecting to the source, waiting for the source, paused by pause_while, throttled by max_bytes_per_second, transforming, inserting, comparing, committing, waiting for a lock, or retrying';
comment on column lrs_extract.progress.share_done is 'From 0 to 1, by the plan''s estimates';
comment on column lrs_extract.progress.kind is 'pull or repair';
comment on column lrs_extract.bottleneck.kind is 'pull or repair';
comment on function lrs_extract.verify(timestamptz, timestamptz, text, text, int, int) is 'Source, target and rejects of a period side by side, a row a slice, or a row a statement that differs; changes nothing';
comment on function lrs_extract.check(text) is 'Whether a pull of the pipeline would go through, a row a check: what was found, and what to type; changes nothing';
comment on function lrs_extract.repair(timestamptz, timestamptz, text, text, text, boolean) is 'Makes the target hold what the source holds in the pulled part of a period; a row for each range that differed';
