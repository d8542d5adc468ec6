-- The rejects of a pipeline in [$2, $3), oldest first, with their size. $1: its pipeline_id, $4: the runs
-- that count. Held past
-- its transaction: they are taken in many.
declare lrs_extract_rejects no scroll cursor with hold for
select r.reject_id,
       coalesce(octet_length(r.statement), 0)::bigint + coalesce(pg_column_size(r.extra), 0) as bytes
  from lrs_extract.reject r
 where r.pipeline_id = $1::uuid
   and r."timestamp" >= $2
   and r."timestamp" < $3
   and r.run_id = any ($4)
 order by r.reject_id
