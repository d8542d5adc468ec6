//! What somebody sees who types the call into psql: a NOTICE as each slice ends and, with
//! FETCH_COUNT, a row as each batch is committed, while the run still goes on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use postgres::Client;

use crate::fixture::{Fixture, Pull, Rows, await_that};

const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// What psql's line of a committed batch has in it: its partition.
const A_ROW: &str = "lrs_statement_2025_";

/// Rows from April on wait for the gate, so that a run stands still once March is committed.
const GATE: &str = "
    create function pipeline.wait_at_gate() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock_shared(4, 1); return new; end';
    create trigger wait_at_gate before insert on pipeline.aidt_raw for each row
        when (new.\"timestamp\" >= '2025-04-01 00:00+00') execute function pipeline.wait_at_gate()";

/// A fixture with five months of rows, and the session that keeps the gate shut as long as it lives.
fn fixture_with_shut_gate() -> (Fixture, Client) {
    let fixture = Fixture::with(&Rows::of(3_000).in_key_order());
    fixture.on_stage(GATE);
    let mut keeper = fixture.stage();
    keeper.batch_execute("select pg_advisory_lock(4, 1)").expect("the gate is shut");
    (fixture, keeper)
}

/// The lines that have come out of a pipe so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let seen = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                seen.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, part: &str) -> usize {
        self.all().iter().filter(|line| line.contains(part)).count()
    }
}

/// A psql of the stage's version at work.
struct Psql {
    process: Child,
    rows: Lines,
    notices: Lines,
}

impl Psql {
    fn running(fixture: &Fixture, arguments: &[&str], sql: &str) -> Self {
        let mut process = fixture
            .pair
            .stage
            .tool("psql")
            .args(["-X", "-t", "-d", &fixture.db])
            .args(arguments)
            .args(["-c", sql])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let rows = Lines::of(process.stdout.take().expect("a pipe"));
        let notices = Lines::of(process.stderr.take().expect("a pipe"));
        Self { process, rows, notices }
    }

    fn has_ended(&mut self) -> bool {
        self.process.try_wait().expect("the state of psql").is_some()
    }

    /// Waits for a NOTICE of each of March's slices.
    fn await_notices_of_march(&self, fixture: &Fixture) {
        await_that("March is committed", SEEN_WITHIN, || {
            slices_of_march(fixture, "<> 'done'") == 0
        });
        let slices = slices_of_march(fixture, "= 'done'");
        assert!(slices >= 3, "March has {slices} slices");
        await_that("a NOTICE of each slice of March", SEEN_WITHIN, || {
            self.notices.count("lrs_statement_2025_03") == slices
        });
    }

    fn assert_ends_well(&mut self) {
        await_that("psql ends", SEEN_WITHIN, || self.has_ended());
        let status = self.process.wait().expect("the state of psql");
        assert!(status.success(), "{:#?}", self.notices.all());
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How many slices of March have such a state; `usize::MAX` before the run is there.
fn slices_of_march(fixture: &Fixture, state: &str) -> usize {
    let sql = format!(
        "select case when exists (select from lrs_extract.slice) then count(*) end
         from lrs_extract.slice where partition like '%2025_03' and state {state}"
    );
    fixture.stage_value(&sql).parse().unwrap_or(usize::MAX)
}

fn pull() -> String {
    Pull::everything().batch(100).call()
}

/// The run that psql leads is under way, as another session sees it.
fn assert_still_running(fixture: &Fixture, psql: &mut Psql) {
    assert_eq!(fixture.last_run_state(), "running");
    assert!(!psql.has_ended(), "psql has ended: {:#?}", psql.notices.all());
}

fn batches(fixture: &Fixture) -> usize {
    usize::try_from(fixture.committed_batches()).expect("a count")
}

#[test]
fn a_notice_comes_as_each_slice_ends_while_the_run_goes_on() {
    let (fixture, keeper) = fixture_with_shut_gate();
    let mut psql = Psql::running(&fixture, &[], &format!("select {}", pull()));
    psql.await_notices_of_march(&fixture);
    assert_still_running(&fixture, &mut psql);
    assert_eq!(psql.notices.count("2025_04"), 0, "{:#?}", psql.notices.all());
    drop(keeper);
    psql.assert_ends_well();
    let slices = fixture.stage_value("select count(*) from lrs_extract.slice");
    assert_eq!(psql.notices.count("% done").to_string(), slices, "{:#?}", psql.notices.all());
    fixture.assert_all_rows();
}

#[test]
fn with_fetch_count_a_row_comes_as_each_batch_is_committed() {
    let (fixture, keeper) = fixture_with_shut_gate();
    let mut psql = Psql::running(&fixture, &["-v", "FETCH_COUNT=1"], &format!("select {}", pull()));
    psql.await_notices_of_march(&fixture);
    await_that("a row of each committed batch", SEEN_WITHIN, || {
        psql.rows.count(A_ROW) == batches(&fixture)
    });
    assert_still_running(&fixture, &mut psql);
    drop(keeper);
    psql.assert_ends_well();
    await_that("a row of each batch", SEEN_WITHIN, || psql.rows.count(A_ROW) == batches(&fixture));
    fixture.assert_all_rows();
}

#[test]
fn without_fetch_count_notices_come_at_once_and_rows_at_the_end() {
    let (fixture, keeper) = fixture_with_shut_gate();
    let mut psql = Psql::running(&fixture, &[], &format!("select {}", pull()));
    psql.await_notices_of_march(&fixture);
    assert_eq!(psql.rows.count(A_ROW), 0, "{:#?}", psql.rows.all());
    drop(keeper);
    psql.assert_ends_well();
    await_that("a row of each batch", SEEN_WITHIN, || psql.rows.count(A_ROW) == batches(&fixture));
}

#[test]
fn from_the_function_notices_come_at_once_and_rows_at_the_end() {
    let (fixture, keeper) = fixture_with_shut_gate();
    let sql = format!("select * from {}", pull());
    let mut psql = Psql::running(&fixture, &["-v", "FETCH_COUNT=1"], &sql);
    psql.await_notices_of_march(&fixture);
    assert_eq!(psql.rows.count(A_ROW), 0, "{:#?}", psql.rows.all());
    drop(keeper);
    psql.assert_ends_well();
    await_that("a row of each batch", SEEN_WITHIN, || psql.rows.count(A_ROW) == batches(&fixture));
}
