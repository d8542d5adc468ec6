-- The first word stands: a run that failed is not cancelled afterwards. Nor is it done while one
-- worker still has to say that it failed.
update lrs_extract.run
   set state = $2, finished_at = clock_timestamp(), sqlstate = $3, error = $4, detail = $5, hint = $6,
       stage_end = $7::jsonb
 where run_id = $1
   and state = 'running'
   and ($2 <> 'done'
        or not exists (select from lrs_extract.slice s where s.run_id = $1 and s.state <> 'done'))
