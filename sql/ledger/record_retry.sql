-- One more attempt at a slice. $1: run_id, $2: slice_no, $3: why
update lrs_extract.slice
   set retries = retries + 1,
       last_error = $3
 where run_id = $1 and slice_no = $2
