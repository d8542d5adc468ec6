-- What the source's planner takes for granted, by which walks are compared.
select pg_catalog.current_setting('seq_page_cost')::float8 as seq_page_cost,
       pg_catalog.current_setting('random_page_cost')::float8 as random_page_cost,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('effective_cache_size'))
         / pg_catalog.current_setting('block_size')::int8 as cached_blocks
