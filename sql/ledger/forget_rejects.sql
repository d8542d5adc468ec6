-- $1: pipeline_id, $2: from, $3: to
delete from lrs_extract.reject r
 where r.pipeline_id = $1::uuid
   and r."timestamp" >= $2
   and r."timestamp" < $3
