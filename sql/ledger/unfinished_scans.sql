-- Scans of heaps that are not done, and reach into a period.
-- $1: pipeline_id, $2: from, $3: to
select h.scan_id,
       h.run_id,
       h.partition,
       h."from",
       h.from_actor_id,
       h."to",
       h.to_actor_id,
       h.relation,
       h.filenode,
       h.horizon,
       h.updates,
       b.from_blocks,
       b.to_blocks
  from lrs_extract.heap_scan h
 cross join lateral (
   select array_agg(s.from_block order by s.from_block) as from_blocks,
          array_agg(s.block_watermark order by s.from_block) as to_blocks
     from lrs_extract.slice s
    where s.scan_id = h.scan_id
      and s.block_watermark > s.from_block
 ) b
 where h.pipeline_id = $1::uuid
   and h.state = 'unfinished'
   and (h."to" > $2 or h."to" = $2 and h.to_actor_id is not null)
   and h."from" < $3
 order by h.scan_id
