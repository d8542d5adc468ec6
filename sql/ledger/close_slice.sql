-- A slice's end without rows after the last batch. $1: run_id, $2: slice_no, $3, $4: the watermark
update lrs_extract.slice
   set watermark = $3,
       watermark_actor_id = $4,
       state = 'done',
       started_at = coalesce(started_at, clock_timestamp()),
       finished_at = clock_timestamp()
 where run_id = $1 and slice_no = $2
