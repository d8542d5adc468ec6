-- A run that has no slices yet; see open_run.sql. What of its period is infinite is not known before the source
-- has been asked: meanwhile it ends now at the latest, and begins where it ends.
-- $1: run_id, $2: pipeline, $3: from, $4: to, $5: batch size, $6: jobs, $7: commit, $8: again,
-- $9: caller, $10: leader's pid, $11: pipeline_id, $12: kind
insert into lrs_extract.run
  (run_id, pipeline, "from", "to", batch_size, jobs, commit_mode, again, caller, leader_pid, pipeline_id, kind)
select $1, $2, s."from", greatest(s."from", least($4, now())), $5, $6, $7, $8, $9, $10, $11::uuid, $12
  from (select case when isfinite($3::timestamptz) then $3 else least($4, now()) end as "from") s
