-- What a pipeline's slices cover within a period. $1: pipeline_id, $2: from, $3: to
select s.run_id,
       s."from",
       s.from_actor_id,
       s.watermark,
       s.watermark_actor_id,
       (select array_agg(lower(f) order by lower(f)) from unnest(s.forgotten) f where not isempty(f)) as forgotten_from,
       (select array_agg(upper(f) order by lower(f)) from unnest(s.forgotten) f where not isempty(f)) as forgotten_to
  from lrs_extract.slice s
 where s.pipeline_id = $1::uuid
   and s."to" >= $2
   and s."from" < $3
   and s.watermark is not null
