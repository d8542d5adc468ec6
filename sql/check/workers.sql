-- Processes that may be background workers, and those that are, as far as they show
select current_setting('max_worker_processes')::int,
       (select count(*)::int
          from pg_stat_activity a
         where a.backend_type not in (
           'archiver', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer',
           'client backend', 'io worker', 'logger', 'slotsync worker', 'standalone backend', 'startup',
           'walreceiver', 'walsender', 'walsummarizer', 'walwriter'))
