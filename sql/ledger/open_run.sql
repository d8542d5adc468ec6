-- A run whose processes are gone left its state behind: the pipeline's lock is ours now.
-- $1: run_id, $2: pipeline, $3: from, $4: to, $5: batch size, $6: jobs, $7: commit, $8: again,
-- $9: caller, $10: leader's pid, $11: target, $12: the stage's counters, $13: the target's oid,
-- $14: server, $15: source_table, $16: the source table's identity, $17: pipeline_id, $18: kind
with gone as (
  update lrs_extract.run r
     set state = 'interrupted',
         finished_at = (select max(b.finished_at) from lrs_extract.batch b where b.run_id = r.run_id)
   where r.pipeline_id = $17::uuid
     and r.run_id <> $1
     and r.state = 'running'
),
-- No foreign key sees to it: the tables of the ledger are also truncated.
orphans as (
  delete from lrs_extract.difference d
   where not exists (select from lrs_extract.run r where r.run_id = d.run_id)
)
insert into lrs_extract.run
  (run_id, pipeline, "from", "to", batch_size, jobs, commit_mode, again, caller, leader_pid,
   target, stage_start, target_id, server, source_table, source_id, pipeline_id, kind)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb,
       c.system_identifier || '/' || d.oid || '/' || $13, $14, $15, $16, $17::uuid, $18
  from pg_control_system() c
  join pg_database d on d.datname = current_database()
-- It may have been announced before it had slices.
on conflict (run_id) do update
   set state = 'running',
       finished_at = null,
       sqlstate = null,
       error = null,
       detail = null,
       hint = null,
       "from" = excluded."from",
       "to" = excluded."to",
       target = excluded.target,
       stage_start = excluded.stage_start,
       target_id = excluded.target_id,
       server = excluded.server,
       source_table = excluded.source_table,
       source_id = excluded.source_id
