insert into lrs_extract.reject
  (run_id, batch_no, pipeline, "timestamp", actor_id, column_name, sqlstate, message, statement, extra, altered)
values ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8, $9, $10::jsonb, $11)
