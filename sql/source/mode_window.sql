-- A bitmap of the window's rows, then the heap in its order.
set {local}enable_indexscan = off;
-- Where the platform can ask for blocks ahead.
select pg_catalog.set_config('effective_io_concurrency', least(s.max_val::int4, 100)::pg_catalog.text, {is_local})
  from pg_catalog.pg_settings s
 where s.name = 'effective_io_concurrency';
set {local}enable_seqscan = off;
reset enable_bitmapscan;
