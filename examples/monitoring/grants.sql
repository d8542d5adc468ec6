-- What the role that postgres_exporter connects as needs, in the stage's database:
--
--   create role lrs_monitor login password '…';
--   psql -d stagedb -f grants.sql
--
-- It sees the runs, and no statement, no reject and no secret.
grant usage on schema lrs_extract to lrs_monitor;
grant select on lrs_extract.runs, lrs_extract.progress, lrs_extract.bottleneck to lrs_monitor;

-- For lrs_extract_workers_count only: what other roles' processes are doing. pg_monitor, which
-- postgres_exporter asks for itself, includes it.
grant pg_read_all_stats to lrs_monitor;
