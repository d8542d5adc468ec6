-- A slice of which nothing is pulled, for another worker to claim. $1: run_id, $2: slice_no
update lrs_extract.slice
   set state = 'todo', worker = null, started_at = null
 where run_id = $1 and slice_no = $2 and state = 'running'
