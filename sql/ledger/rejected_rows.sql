-- $1: pipeline, $2: from, $3: to
select count(*), {hash}
  from lrs_extract.reject
 where pipeline = $1
   and "timestamp" >= $2
   and "timestamp" < $3
