-- A schema of that name may be there already. Whoever owns it could put objects of their own beside,
-- or in the place of, those that this extension uses as its owner.
do $$
declare
  schema_owner pg_catalog.regrole;
begin
  select n.nspowner into schema_owner
    from pg_catalog.pg_namespace n
   where n.nspname operator(pg_catalog.=) 'lrs_extract'
     and n.nspowner operator(pg_catalog.<>) (
           select r.oid from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) current_user)
     and not (select r.rolsuper from pg_catalog.pg_roles r where r.oid operator(pg_catalog.=) n.nspowner);
  if found then
    raise exception 'schema lrs_extract belongs to %', schema_owner
      using errcode = '42501',
            hint = 'Drop it, or alter schema lrs_extract owner to current_user once you know what is in it.';
  end if;
end
$$;

create table lrs_extract.pipeline (
  name                 text primary key,
  server               text not null default 'lrs_source',
  source_table         text not null default 'acid.lrs_statement_new',
  timestamp_column     text not null default 'timestamp',
  actor_column         text not null default 'actor_id',
  statement_column     text not null default 'full_statement',
  target_table         text not null default 'pipeline.aidt_raw',
  mapping              jsonb not null,
  slice_width          interval not null default '10 days',
  on_bad_value         text not null default 'reject',
  settle               interval not null default '5 minutes',
  retries              int not null default 8,
  retry_delay          interval not null default '1 second',
  max_bytes_per_second bigint,
  pause_while          text,
  walk                 text not null default 'auto',
  on_conflict          text not null default 'error',
  max_rejects          text,
  time_zone            text not null default 'UTC',
  pipeline_id          uuid not null unique default gen_random_uuid(),
  lookback             interval,
  constraint pipeline_on_conflict_check check (on_conflict in ('error', 'skip')),
  constraint pipeline_max_rejects_check check (max_rejects ~ '^([0-9]{1,18}|[0-9]{1,3}([.][0-9]{1,9})? ?%)$'),
  constraint pipeline_walk_check check (walk in ('auto', 'key', 'heap')),
  constraint pipeline_on_bad_value_check check (on_bad_value in ('reject', 'null', 'abort')),
  constraint pipeline_slice_width_check check (slice_width > interval '0'),
  constraint pipeline_lookback_check check (lookback > interval '0'),
  constraint pipeline_settle_check check (settle >= interval '0'),
  constraint pipeline_retries_check check (retries >= 0),
  constraint pipeline_retry_delay_check check (retry_delay >= interval '0'),
  constraint pipeline_max_bytes_per_second_check check (max_bytes_per_second > 0)
);

comment on table lrs_extract.pipeline is 'What is pulled from where to where, and how. One row, aidt, is shipped; alter it or add others.';
comment on column lrs_extract.pipeline.name is 'The name that pull() and plan() take';
comment on column lrs_extract.pipeline.server is 'A foreign server of the wrapper lrs_extract: the source';
comment on column lrs_extract.pipeline.source_table is 'The source''s table, with its schema, as SQL writes it';
comment on column lrs_extract.pipeline.timestamp_column is 'First column of the key: timestamptz, not null';
comment on column lrs_extract.pipeline.actor_column is 'Second column of the key: an integer, may be null';
comment on column lrs_extract.pipeline.statement_column is 'The JSON: jsonb, json or text';
comment on column lrs_extract.pipeline.target_table is 'The stage''s table, with its schema, as SQL writes it';
comment on column lrs_extract.pipeline.mapping is 'Target column -> {"path": […]} | {"first_of": [[…], […]]} | {"source": "column"} | {"statement": true} | {"const": …}, each with optional "default" and "on_bad_value"';
comment on column lrs_extract.pipeline.slice_width is 'How much time a slice spans; slices are what workers share';
comment on column lrs_extract.pipeline.on_bad_value is 'What becomes of a row whose value does not fit: reject, null (the column), abort (the run)';
comment on column lrs_extract.pipeline.settle is 'Nothing younger than the source''s clock less this is pulled';
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

create sequence lrs_extract.run_id_seq;
comment on sequence lrs_extract.run_id_seq is 'Numbers the runs';

create table lrs_extract.run (
  run_id      bigint primary key,
  pipeline    text not null,
  "from"      timestamptz not null,
  "to"        timestamptz not null,
  batch_size  int not null,
  jobs        int not null,
  commit_mode text not null,
  again       boolean not null,
  caller      text not null,
  leader_pid  int not null,
  target      text,
  state       text not null default 'running',
  started_at  timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  sqlstate    text,
  error       text,
  detail      text,
  hint        text,
  stage_start jsonb,
  stage_end   jsonb,
  target_id   text,
  server      text,
  source_table text,
  source_id   text,
  pipeline_id uuid not null,
  kind        text not null default 'pull',
  constraint run_kind_check check (kind in ('pull', 'repair')),
  constraint run_state_check check (state in ('running', 'done', 'failed', 'cancelled', 'interrupted'))
);
create index run_pipeline_idx on lrs_extract.run (pipeline_id, run_id);

comment on table lrs_extract.run is 'One row for each call of pull() or repair()';
comment on column lrs_extract.run.run_id is 'The run''s number, from lrs_extract.run_id_seq';
comment on column lrs_extract.run.pipeline is 'The pipeline''s name then; the view runs has that of today';
comment on column lrs_extract.run.pipeline_id is 'The pipeline, under whatever name';
comment on column lrs_extract.run.kind is 'pull or repair';
comment on column lrs_extract.run.batch_size is 'Rows a batch, as the caller asked';
comment on column lrs_extract.run.jobs is 'How many workers were asked for';
comment on column lrs_extract.run.commit_mode is 'The boundary: batch, slice or caller';
comment on column lrs_extract.run.again is 'Whether covered ranges were pulled once more';
comment on column lrs_extract.run.caller is 'The role that called';
comment on column lrs_extract.run.leader_pid is 'The process of the backend that called';
comment on column lrs_extract.run.started_at is 'When the run was opened';
comment on column lrs_extract.run.finished_at is 'When it ended; null while it runs, and where no process was left to close it';
comment on column lrs_extract.run.sqlstate is 'SQLSTATE of the error that ended it';
comment on column lrs_extract.run.error is 'That error''s message';
comment on column lrs_extract.run.detail is 'Its detail';
comment on column lrs_extract.run.hint is 'Its hint';
comment on column lrs_extract.run."from" is 'Start of the period, after clipping, inclusive';
comment on column lrs_extract.run."to" is 'End of the period, after clipping, exclusive';
comment on column lrs_extract.run.target is 'The table that is loaded, as the run found it';
comment on column lrs_extract.run.target_id is 'The same table by the system identifier of the stage''s cluster and the oids of database and table: it counts as long as a table has it';
comment on column lrs_extract.run.server is 'The foreign server that was read, as the pipeline named it';
comment on column lrs_extract.run.source_table is 'The source''s table, as the pipeline named it';
comment on column lrs_extract.run.source_id is 'The same table by the system identifier of the source''s cluster and the oids of database and table, which a standby shares; null where the source does not tell';
comment on column lrs_extract.run.stage_start is 'What the stage had counted when the run began: checkpoints, autovacuums of the target; the view runs has the differences';
comment on column lrs_extract.run.stage_end is 'The same when the run ended; null where no process was left to read them';
comment on column lrs_extract.run.state is 'running, done, failed, cancelled, interrupted; a running one whose processes are gone shows as interrupted in the view runs';

create sequence lrs_extract.heap_scan_id_seq;
comment on sequence lrs_extract.heap_scan_id_seq is 'Numbers the scans of heaps';

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

create table lrs_extract.slice (
  run_id             bigint not null references lrs_extract.run on delete cascade,
  slice_no           int not null,
  pipeline           text not null,
  partition          text not null,
  "from"             timestamptz not null,
  from_actor_id      bigint,
  "to"               timestamptz not null,
  to_actor_id        bigint,
  watermark          timestamptz,
  watermark_actor_id bigint,
  state              text not null default 'todo',
  estimated_rows     bigint,
  warning            text,
  walk               text,
  scan_id            bigint references lrs_extract.heap_scan,
  from_block         bigint,
  to_block           bigint,
  block_watermark    bigint,
  rows               bigint not null default 0,
  rejected           bigint not null default 0,
  bytes              bigint not null default 0,
  worker             int,
  retries            int not null default 0,
  last_error         text,
  started_at         timestamptz,
  finished_at        timestamptz,
  forgotten          tstzrange[] not null default '{}',
  rows_read          bigint not null default 0,
  pipeline_id        uuid not null,
  skipped            bigint not null default 0,
  primary key (run_id, slice_no),
  constraint slice_state_check check (state in ('todo', 'running', 'done'))
) with (fillfactor = 50);
create index slice_pipeline_idx on lrs_extract.slice (pipeline_id, "to");
create index slice_scan_idx on lrs_extract.slice (scan_id) where scan_id is not null;

comment on table lrs_extract.slice is 'The slices of each run and how far they are; together, the memory of what a pipeline has pulled';
comment on column lrs_extract.slice.run_id is 'The run it belongs to';
comment on column lrs_extract.slice.slice_no is 'Its number within the run, in the order of time';
comment on column lrs_extract.slice.pipeline is 'The pipeline''s name then';
comment on column lrs_extract.slice.pipeline_id is 'The pipeline, under whatever name';
comment on column lrs_extract.slice.partition is 'The source''s partition that holds it';
comment on column lrs_extract.slice."from" is 'Where the slice begins';
comment on column lrs_extract.slice."to" is 'Where it ends';
comment on column lrs_extract.slice.watermark_actor_id is 'See watermark';
comment on column lrs_extract.slice.state is 'todo, running or done';
comment on column lrs_extract.slice.estimated_rows is 'EXPLAIN''s estimate when the run was planned';
comment on column lrs_extract.slice.rows is 'Rows committed into the target';
comment on column lrs_extract.slice.rows_read is 'Rows that came from the source';
comment on column lrs_extract.slice.rejected is 'Rows committed into reject';
comment on column lrs_extract.slice.skipped is 'Rows left out because the target has their unique key already, with on_conflict skip';
comment on column lrs_extract.slice.bytes is 'Bytes read from the source for them';
comment on column lrs_extract.slice.worker is 'The number of the worker that has it, from 1; 0 for the caller''s own backend';
comment on column lrs_extract.slice.started_at is 'When a worker began it';
comment on column lrs_extract.slice.finished_at is 'When its last batch was committed';
comment on column lrs_extract.slice.from_actor_id is 'Null: the slice begins with the first row at "from"; else strictly after the key ("from", this actor)';
comment on column lrs_extract.slice.to_actor_id is 'Null: the slice ends before "to"; else with the key ("to", this actor)';
comment on column lrs_extract.slice.watermark is 'Of a slice of a heap only once the scan is done. Everything before this edge is in the target or in reject: with watermark_actor_id null, all rows before this timestamp; else all keys up to and including (watermark, watermark_actor_id)';
comment on column lrs_extract.slice.warning is 'What the plan warned of: no index on the source that serves the walk, or a heap in another order';
comment on column lrs_extract.slice.walk is 'Which way the slice is walked, and why: by key or by heap, with the estimates that decided';
comment on column lrs_extract.slice.scan_id is 'The scan of a heap that the slice is part of; null: it is walked by key';
comment on column lrs_extract.slice.from_block is 'The first block of the slice';
comment on column lrs_extract.slice.to_block is 'The block after its last; null: it goes to the end of the heap';
comment on column lrs_extract.slice.block_watermark is 'The rows of all blocks from from_block to before this one are in the target or in reject';
comment on column lrs_extract.slice.retries is 'How often the slice was tried again after trouble that may pass, smaller pages after a statement timeout included';
comment on column lrs_extract.slice.last_error is 'What the last retry was about';
comment on column lrs_extract.slice.forgotten is 'Ranges that forget() took out of the memory';

create table lrs_extract.batch (
  run_id         bigint not null,
  batch_no       int not null,
  slice_no       int not null,
  partition      text not null,
  rows           bigint not null,
  rejected       bigint not null,
  bytes          bigint not null,
  last_timestamp timestamptz,
  last_actor_id  bigint,
  source_wait_ms double precision not null,
  transform_ms   double precision not null,
  insert_ms      double precision not null,
  commit_ms      double precision,
  elapsed_ms     double precision not null,
  worker         int not null,
  fallbacks      bigint not null default 0,
  lock_ms        double precision not null default 0,
  throttle_ms    double precision not null default 0,
  wal_bytes      bigint not null default 0,
  finished_at    timestamptz not null default clock_timestamp(),
  rows_read      bigint not null default 0,
  skipped        bigint not null default 0,
  primary key (run_id, batch_no),
  foreign key (run_id, slice_no) references lrs_extract.slice on delete cascade
) with (fillfactor = 80);

comment on table lrs_extract.batch is 'One row for each committed batch, written in the batch''s own transaction';
comment on column lrs_extract.batch.run_id is 'The run it belongs to';
comment on column lrs_extract.batch.batch_no is 'Its number within the run, in the order in which batches were begun';
comment on column lrs_extract.batch.slice_no is 'The slice it is a part of';
comment on column lrs_extract.batch.partition is 'The source''s partition it came from';
comment on column lrs_extract.batch.rows is 'Rows inserted into the target, as the server tells';
comment on column lrs_extract.batch.rows_read is 'Rows that came from the source; more than rows, rejected and skipped together where a trigger or a rule of the target takes rows away';
comment on column lrs_extract.batch.rejected is 'Rows that went to reject';
comment on column lrs_extract.batch.skipped is 'Rows left out because the target has their unique key already, with on_conflict skip';
comment on column lrs_extract.batch.last_actor_id is 'See last_timestamp; null where that row has no actor';
comment on column lrs_extract.batch.elapsed_ms is 'From the batch''s first row asked for to the end of its commit';
comment on column lrs_extract.batch.worker is 'The number of the worker that loaded it, from 1; 0 for the caller''s own backend';
comment on column lrs_extract.batch.finished_at is 'When it was recorded, just before its commit';
comment on column lrs_extract.batch.bytes is 'Bytes read from the source';
comment on column lrs_extract.batch.fallbacks is 'Statements whose jsonb the server made, because the fast reader did not accept them';
comment on column lrs_extract.batch.last_timestamp is 'Key of the batch''s last row';
comment on column lrs_extract.batch.source_wait_ms is 'Time the load waited for the source';
comment on column lrs_extract.batch.transform_ms is 'Time the load waited for fields and values to be made, or made them itself';
comment on column lrs_extract.batch.insert_ms is 'Time spent in INSERT';
comment on column lrs_extract.batch.lock_ms is 'Time in which the worker was observed waiting for a lock, mostly within insert_ms; sampled ten times a second';
comment on column lrs_extract.batch.throttle_ms is 'Time held back by pause_while or max_bytes_per_second';
comment on column lrs_extract.batch.wal_bytes is 'WAL that the worker wrote since its batch before, attempts that failed included';
comment on column lrs_extract.batch.commit_ms is 'Time of the commit that ended the batch; null until the worker''s next transaction writes it';

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

create table lrs_extract.reject (
  reject_id   bigint generated always as identity primary key,
  run_id      bigint not null references lrs_extract.run on delete cascade,
  batch_no    int not null,
  pipeline    text not null,
  "timestamp" timestamptz not null,
  actor_id    bigint,
  column_name text,
  sqlstate    text not null,
  message     text not null,
  statement   text,
  extra       jsonb,
  altered     boolean not null default false,
  rejected_at timestamptz not null default clock_timestamp(),
  pipeline_id uuid not null
);
create index reject_pipeline_idx on lrs_extract.reject (pipeline_id, "timestamp");

comment on table lrs_extract.reject is 'Rows of the source that the target could not take, whole, with the reason';
comment on column lrs_extract.reject.reject_id is 'The reject''s number';
comment on column lrs_extract.reject.run_id is 'The run that met it';
comment on column lrs_extract.reject.batch_no is 'The batch that would have had it';
comment on column lrs_extract.reject.pipeline is 'The pipeline''s name then';
comment on column lrs_extract.reject.pipeline_id is 'The pipeline, under whatever name';
comment on column lrs_extract.reject."timestamp" is 'First column of the row''s key';
comment on column lrs_extract.reject.actor_id is 'Second column of the row''s key';
comment on column lrs_extract.reject.sqlstate is 'SQLSTATE of what the server, or the transform, said of the value';
comment on column lrs_extract.reject.message is 'Its message';
comment on column lrs_extract.reject.rejected_at is 'When it was set aside';
comment on column lrs_extract.reject.column_name is 'The target column whose value did not fit; null where the row as a whole was refused';
comment on column lrs_extract.reject.statement is 'The statement''s text as the source sent it; bytes that are no UTF-8 come as \xNN; null also where the source could not send the row';
comment on column lrs_extract.reject.extra is 'Further columns of the source that the mapping took, as text; null where it took none';
comment on column lrs_extract.reject.altered is 'Whether bytes of the row are written as \xNN, or the source could not send the row and nothing but its key is here: replay() then leaves it alone';

select pg_catalog.pg_extension_config_dump('lrs_extract.pipeline', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.run_id_seq', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.run', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.heap_scan_id_seq', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.heap_scan', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.slice', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.batch', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.difference', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.reject', '');
select pg_catalog.pg_extension_config_dump('lrs_extract.reject_reject_id_seq', '');
