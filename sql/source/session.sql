-- What every session on the source begins with: it can write nothing, reads times in UTC, finds no
-- object by a search path that others can write to, and keeps to one process.
set {local}default_transaction_read_only = on;
set {local}timezone = 'UTC';
set {local}datestyle = 'ISO, YMD';
set {local}search_path = pg_catalog;
set {local}standard_conforming_strings = on;
-- Text that says all of a value, whatever the role or the database has set.
set {local}extra_float_digits = 3;
set {local}intervalstyle = 'postgres';
set {local}bytea_output = 'hex';
set {local}xmloption = 'content';
set {local}quote_all_identifiers = off;
set {local}jit = off;
set {local}max_parallel_workers_per_gather = 0;
-- A page is planned for its own range: partitions, and what an index is worth there, depend on it.
set {local}plan_cache_mode = force_custom_plan;
-- An index in key order serves a page with a few block reads; a sort would read the whole rest of
-- the slice for each page, and spill it. Where no index serves, the sort is still possible.
set {local}enable_sort = off;
