-- Rejects of a scan whose rows are looked at once more. $1: pipeline_id, $2: timestamps, $3: scan_id
delete from lrs_extract.reject r
 where r.pipeline_id = $1::uuid
   and r."timestamp" = any ($2)
   and exists (select from lrs_extract.slice s where s.run_id = r.run_id and s.scan_id = $3)
