-- Other pipelines that moved rows of a period between the same two tables, or, without a server, into the same
-- target, and have not forgotten it, each with its last run of that kind.
-- $1: pipeline_id, $2: from, $3: to, $4: the target's name, $5: server, $6: source_table
select coalesce(p.name, max(s.pipeline)) as pipeline,
       p.name is null as is_deleted,
       max(s.run_id) as run_id
  from lrs_extract.slice s
  join lrs_extract.run r on r.run_id = s.run_id
  left join lrs_extract.pipeline p on p.pipeline_id = s.pipeline_id
 where s.pipeline_id <> $1::uuid
   and s."to" >= $2
   and s."from" < $3
   and r.target = $4
   and ($5 = '' or r.server = $5 and r.source_table = $6)
   and s.rows > 0
   and not exists (select from unnest(s.forgotten) f where f @> tstzrange(s."from", s."to"))
 group by s.pipeline_id, p.name
 order by 1
