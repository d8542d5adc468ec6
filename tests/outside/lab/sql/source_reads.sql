-- What the statistics of the source's partitions say was read so far, by any session.
select (select sum(idx_scan)::bigint from pg_stat_user_indexes
         where schemaname = 'acid' and relname like 'lrs_statement%') as index_scans,
       (select sum(idx_tup_read)::bigint from pg_stat_user_indexes
         where schemaname = 'acid' and relname like 'lrs_statement%') as index_entries,
       sum(idx_tup_fetch)::bigint as heap_rows,
       sum(seq_tup_read)::bigint as rows_without_index
from pg_stat_user_tables
where schemaname = 'acid' and relname like 'lrs_statement%'
