insert into lrs_extract.reject
  (run_id, batch_no, pipeline, "timestamp", actor_id, column_name, sqlstate, message, statement, extra, altered,
   pipeline_id)
values ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8, $9, $10::jsonb, $11,
        (select r.pipeline_id from lrs_extract.run r where r.run_id = $1))
returning reject_id
