-- $1: pipeline, $2: from, $3: to
delete from lrs_extract.reject r
 where r.pipeline = $1
   and r."timestamp" >= $2
   and r."timestamp" < $3
