//! Pulls that pg_cron calls: the nightly job of `docs/recipes.md`, and the jobs of
//! `examples/pg_cron.sql`.
//!
//! pg_cron starts a job when a minute of the clock begins, no earlier. The test that lets it do so
//! needs two such minutes, one for the first job and one for the job that comes while it runs, and
//! spends nearly all of its up to 125 seconds waiting for them.

use std::sync::Arc;
use std::time::Duration;

use crate::fixture::{Fixture, Pair, Rows, ServerPlan, Version, await_some, await_that, skip};

/// Until the next minute begins, and some more for a busy machine.
const NEXT_MINUTE: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(30);

const EXAMPLE: &str = include_str!("../../../examples/pg_cron.sql");
const ROWS_A_DAY: i64 = 1_000;

/// A fixture whose stage runs pg_cron and whose source has rows of the last ten days, or `None` and a
/// word about it where this PostgreSQL has no pg_cron.
fn fixture_with_cron() -> Option<Fixture> {
    let known = "select count(*) from pg_available_extensions where name = 'pg_cron'";
    let row = Pair::shared().stage.connect("postgres").query_one(known, &[]).expect("a count");
    if row.get::<_, i64>(0) == 0 {
        skip("this PostgreSQL has no pg_cron");
        return None;
    }
    let stage = ServerPlan::of(Version::stage())
        .setting("shared_preload_libraries = 'pg_cron'")
        .setting("log_line_prefix = '%p %d %a %e: '");
    let source = Pair::shared().source;
    let fixture = Fixture::bare(Pair { source, stage: Arc::new(stage.start()) });
    fixture.connect_stage_to_source("");
    fixture.keep_midnight_away();
    fixture.start_cron();
    fixture.fill_last_days(10);
    Some(fixture)
}

/// One run of a job, as pg_cron has noted it.
#[derive(Debug)]
struct Noted {
    status: String,
    message: String,
}

impl Fixture {
    /// "Yesterday" must not change while a test runs: sets the clocks of both databases to noon.
    fn keep_midnight_away(&self) {
        let hours = self.stage_value("select 12 - extract(hour from now() at time zone 'UTC')");
        let set = format!("alter database {} set timezone = '{hours}'", self.db);
        self.on_stage(&set);
        self.on_source(&set);
    }

    /// pg_cron works for one database, and reads its name when the server starts.
    fn start_cron(&self) {
        let home = self.pair.stage.home().display();
        let mut stage = self.stage();
        for (name, value) in [("database_name", &self.db), ("host", &home.to_string())] {
            let set = format!("alter system set cron.{name} = '{value}'");
            stage.batch_execute(&set).expect("a setting");
        }
        self.pair.stage.restart_immediately();
        self.on_stage("create extension pg_cron");
    }

    fn fill_last_days(&self, days: i64) {
        self.on_source(
            "create table acid.lrs_statement_later partition of acid.lrs_statement_new
                 for values from ('2026-01-01') to ('2100-01-01')",
        );
        let midnight = |ago: i64| {
            let sql = format!("select date_trunc('day', now()) - interval '{ago} days'");
            self.source_value(&sql)
        };
        Rows::of(ROWS_A_DAY * days)
            .ties(3)
            .nulls_every(5)
            .between(&midnight(days - 1), &midnight(-1))
            .fill(&mut self.source());
    }

    fn every_minute(&self, job: &str) {
        let sql = format!("update cron.job set schedule = '* * * * *' where jobname = '{job}'");
        self.on_stage(&sql);
    }

    fn job_id(&self, name: &str) -> String {
        self.stage_value(&format!("select jobid from cron.job where jobname = '{name}'"))
    }

    /// The job's runs that have ended, the first first.
    fn ended_runs(&self, job_id: &str) -> Vec<Noted> {
        let sql = format!(
            "select status, coalesce(return_message, '') from cron.job_run_details
             where jobid = {job_id} and status in ('succeeded', 'failed') and end_time is not null
             order by runid"
        );
        let rows = self.stage().query(&sql, &[]).expect("what pg_cron has noted");
        rows.iter().map(|row| Noted { status: row.get(0), message: row.get(1) }).collect()
    }

    fn await_end_of_run(&self, job_id: &str, nth: usize, limit: Duration) -> Noted {
        await_some(&format!("run {nth} of job {job_id} ends"), limit, || {
            let mut ended = self.ended_runs(job_id);
            (ended.len() >= nth).then(|| ended.swap_remove(nth - 1))
        })
    }
}

/// The nightly job, word for word.
fn job_of_the_recipe() -> &'static str {
    let recipes = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md"));
    let begin = recipes.find("select cron.schedule('lrs-nightly'").expect("a job in the recipes");
    let length = recipes[begin..].find("$$);").expect("the end of the job") + "$$);".len();
    &recipes[begin..begin + length]
}

#[test]
fn the_nightly_job_pulls_each_row_once_and_a_job_that_comes_meanwhile_is_refused_in_words() {
    let Some(fixture) = fixture_with_cron() else { return };
    // The run stands still before its first page, until the test has seen what it wants.
    fixture.on_source(
        "create table acid.pause (); insert into acid.pause default values;
         grant select on acid.pause to reader",
    );
    let pause = "select exists (select from acid.pause)";
    fixture.on_stage(&format!("update lrs_extract.pipeline set pause_while = '{pause}'"));
    fixture.on_stage(EXAMPLE);
    fixture.on_stage(job_of_the_recipe());
    let (nightly, backfill) = (fixture.job_id("lrs-nightly"), fixture.job_id("lrs-backfill"));

    fixture.every_minute("lrs-nightly");
    let running = "select max(run_id) from lrs_extract.runs where state = 'running'";
    let run = await_some("the nightly job runs", NEXT_MINUTE, || {
        Some(fixture.stage_value(running)).filter(|run| !run.is_empty())
    });

    fixture.every_minute("lrs-backfill");
    let refused = fixture.await_end_of_run(&backfill, 1, NEXT_MINUTE);
    fixture.on_stage("select cron.unschedule('lrs-backfill')");
    assert_eq!(refused.status, "failed", "{refused:?}");
    assert!(refused.message.contains(&format!("is being pulled by run {run} ")), "{refused:?}");
    assert!(refused.message.contains(&format!("lrs_extract.cancel({run})")), "{refused:?}");
    let log = fixture.pair.stage.log();
    assert!(log.lines().any(|line| line.contains("55006: ERROR: ")), "55006 in {log}");
    assert_eq!(fixture.stage_value(running), run, "the first run goes on");

    fixture.on_source("delete from acid.pause");
    let first = fixture.await_end_of_run(&nightly, 1, SOON);
    assert_eq!(first.status, "succeeded", "{first:?}");
    assert_eq!(first.message, "1 row", "a row a batch");
    assert_yesterday_and_no_later_is_pulled_by(&fixture, &run);

    // The minute that began during the first run is made up for as soon as it ends.
    let second = fixture.await_end_of_run(&nightly, 2, NEXT_MINUTE);
    assert_eq!((second.status.as_str(), second.message.as_str()), ("succeeded", "0 rows"));
    await_that("the second run says so in words", SOON, || {
        fixture.pair.stage.log().contains("nothing to do: the period is covered")
    });
    assert_yesterday_and_no_later_is_pulled_by(&fixture, &run);
}

/// The run took all of yesterday, up to last midnight, and the target has each of its rows once and
/// none besides.
fn assert_yesterday_and_no_later_is_pulled_by(fixture: &Fixture, run: &str) {
    let of_run = |sql: &str| {
        fixture.stage_value(&format!("select {sql} from lrs_extract.run where run_id = {run}"))
    };
    let (from, to) = (of_run("\"from\""), of_run("\"to\""));
    let takes_yesterday = "\"from\" <= date_trunc('day', now()) - interval '1 day'
                           and \"to\" = date_trunc('day', now())";
    assert_eq!(of_run(takes_yesterday), "true", "[{from}, {to})");
    fixture.assert_same_rows(&from, &to);
    let of_period = format!("\"timestamp\" >= '{from}' and \"timestamp\" < '{to}'");
    let rows = format!("select count(*) from acid.lrs_statement_new where {of_period}");
    let rows: i64 = fixture.source_value(&rows).parse().expect("a count");
    assert!(rows > ROWS_A_DAY / 2, "{rows} rows in [{from}, {to})");
    assert_eq!(fixture.target_rows(), rows);
}
