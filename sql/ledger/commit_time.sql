update lrs_extract.batch set commit_ms = $3, elapsed_ms = elapsed_ms + $3 where run_id = $1 and batch_no = $2
