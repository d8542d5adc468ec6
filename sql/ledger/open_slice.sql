insert into lrs_extract.slice
  (run_id, slice_no, pipeline, partition, "from", from_actor_id, "to", to_actor_id, estimated_rows,
   warning, scan_id, from_block, to_block, walk, pipeline_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
        (select r.pipeline_id from lrs_extract.run r where r.run_id = $1))
