-- Jobs for pg_cron, in the stage's database (or, from pg_cron 1.4 on, in another one that
-- cron.schedule_in_database names). Change periods and hours to yours, then
--
--   psql -d stagedb -f pg_cron.sql
--
-- As often as you like: a job of the same name is replaced. The jobs run as the role that schedules
-- them, so that role needs the user mapping, and the privileges that docs/reference.md lists.
--
-- pg_cron reads '0 2 * * *' in GMT, and the jobs' midnights are those of the stage's TimeZone. Where
-- the two differ, a day has to be over, by the pipeline's "settle" at least, when its job starts.

-- Every night: the last seven days, not only the last. What is covered is left out and costs
-- nothing, and a night that was missed is made up for by the next.
select cron.schedule('lrs-nightly', '0 2 * * *', $job$
  select lrs_extract.pull(date_trunc('day', now()) - interval '7 days', date_trunc('day', now()), 50000)
$job$);

-- After it: what came late, under the true times of devices that were offline. The last thirty days
-- are compared by counts, and what is missing is pulled. A job that comes while the pull still runs is
-- refused; the next night's makes up for it.
select cron.schedule('lrs-late', '0 4 * * *', $job$
  select lrs_extract.repair(date_trunc('day', now()) - interval '30 days', date_trunc('day', now()))
$job$);

-- A backfill, a month a night: each evening the oldest month that is not yet done. What an evening
-- leaves unfinished, because it was stopped or failed, the next goes on with.
select cron.schedule('lrs-backfill', '0 20 * * *', $job$
  select lrs_extract.pull(month, month + interval '1 month', 50000)
    from (select date_trunc('month', min("from")) as month
            from lrs_extract.plan('2025-03-01', '2025-08-01')
           where state <> 'done') next
   where month is not null
$job$);

-- Only one pull of a pipeline runs at a time. A job that comes while another still pulls is refused,
-- and says which run it would have to wait for:
--
--   select j.jobname, d.status, d.return_message, d.start_time, d.end_time
--     from cron.job_run_details d join cron.job j using (jobid) order by d.runid desc limit 20;
--   select * from lrs_extract.runs order by run_id desc;
--
-- The NOTICEs of a pull are in the server's log. Once the backfill is through:
--
--   select cron.unschedule('lrs-backfill');
