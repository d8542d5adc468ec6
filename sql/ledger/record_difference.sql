insert into lrs_extract.difference
  (run_id, batch_no, partition, "from", "to", source_rows, target_rows, rejected_rows, missing, surplus,
   changed, pulled, deleted)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
