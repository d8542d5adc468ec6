-- One that an earlier run began is there already.
insert into lrs_extract.heap_scan
  (scan_id, pipeline, run_id, partition, "from", from_actor_id, "to", to_actor_id, relation, filenode,
   horizon, updates, pipeline_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
        (select r.pipeline_id from lrs_extract.run r where r.run_id = $3))
on conflict (scan_id) do nothing
