-- The checkpoint: the batch and its slice's watermark, in the transaction of the rows themselves.
with checkpoint as (
  update lrs_extract.slice
     set watermark = $14,
         watermark_actor_id = $15,
         block_watermark = coalesce($22, block_watermark),
         rows_read = rows_read + $23,
         rows = rows + $5,
         rejected = rejected + $6,
         skipped = skipped + $24,
         bytes = bytes + $7,
         state = case when $16 then 'done' else state end,
         started_at = coalesce(started_at, clock_timestamp()),
         finished_at = case when $16 then clock_timestamp() end
   where run_id = $1 and slice_no = $3
)
insert into lrs_extract.batch
  (run_id, batch_no, slice_no, partition, rows, rejected, bytes, last_timestamp, last_actor_id,
   source_wait_ms, transform_ms, insert_ms, elapsed_ms, worker, fallbacks,
   lock_ms, throttle_ms, wal_bytes, rows_read, skipped)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $17, $18, $19, $20,
        $21, $23, $24)
