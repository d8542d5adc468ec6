-- A slice that was given back, if it is still free. $1: run_id, $2: slice_no, $3: worker
update lrs_extract.slice
   set state = 'running', worker = $3, started_at = clock_timestamp()
 where run_id = $1 and slice_no = $2 and state = 'todo'
