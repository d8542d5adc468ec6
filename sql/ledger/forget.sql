-- $1: pipeline_id, $2: from, $3: to. Ranges that overlap or adjoin become one: what is forgotten and pulled again each
-- night must not make the memory slow. Unfinished scans of heaps that are not all within were refused before.
with forgotten as (
  update lrs_extract.heap_scan h
     set state = 'forgotten', closed_at = clock_timestamp()
   where h.pipeline_id = $1::uuid
     and $2 < $3
     and h.state = 'unfinished'
     and (h."to" > $2 or h."to" = $2 and h.to_actor_id is not null)
     and h."from" < $3
  returning h.scan_id
)
update lrs_extract.slice s
   set forgotten = (
         select coalesce(array_agg(f.range) filter (where not f.touches), '{}')
                || tstzrange(
                     least($2, min(lower(f.range)) filter (where f.touches)),
                     greatest($3, max(upper(f.range)) filter (where f.touches)))
           from (select r as range, r && tstzrange($2, $3) or r -|- tstzrange($2, $3) as touches
                   from unnest(s.forgotten) r) f)
 where s.pipeline_id = $1::uuid
   and $2 < $3
   and s."to" >= $2
   and s."from" < $3
   and not tstzrange($2, $3) <@ any (s.forgotten)
   and (s.watermark >= $2 or s.scan_id in (select f.scan_id from forgotten f))
