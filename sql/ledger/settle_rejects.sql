-- Rejects that the target took before their batch was committed. $1: run_id, $2: slice_no, $3: batch_no,
-- $4: their numbers, $5: rows that were inserted for them, $6: rows that
-- were there already
with gone as (
  delete from lrs_extract.reject r where r.reject_id = any ($4) returning r.reject_id
), batch as (
  update lrs_extract.batch b
     set rows = b.rows + $5, skipped = b.skipped + $6, rejected = b.rejected - (select count(*) from gone)
   where b.run_id = $1 and b.batch_no = $3
)
update lrs_extract.slice s
   set rows = s.rows + $5, skipped = s.skipped + $6, rejected = s.rejected - (select count(*) from gone)
 where s.run_id = $1 and s.slice_no = $2
