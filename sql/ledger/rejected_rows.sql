-- $1: pipeline_id, $2: from, $3: to, $4: the runs that count
select count(*) as count, {hash} as hash
  from lrs_extract.reject
 where pipeline_id = $1::uuid
   and "timestamp" >= $2
   and "timestamp" < $3
   and run_id = any ($4)
