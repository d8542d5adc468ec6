-- $1: pipeline, $2: from, $3: to
select count(*) as count, {hash} as hash
  from lrs_extract.reject
 where pipeline = $1
   and "timestamp" >= $2
   and "timestamp" < $3
