-- A slice's end without rows after the last batch. $1: run_id, $2: slice_no, $3, $4: the watermark,
-- $5: the block that was come to
update lrs_extract.slice
   set watermark = $3,
       watermark_actor_id = $4,
       block_watermark = coalesce($5, block_watermark),
       state = 'done',
       started_at = coalesce(started_at, clock_timestamp()),
       finished_at = clock_timestamp()
 where run_id = $1 and slice_no = $2
