-- When the last rows of a pipeline were loaded. $1: pipeline_id
select max(b.finished_at)
  from lrs_extract.run r
  join lrs_extract.batch b on b.run_id = r.run_id
 where r.pipeline_id = $1::uuid
   and b.rows + b.rejected > 0
