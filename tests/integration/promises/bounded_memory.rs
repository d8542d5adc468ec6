//! Promise 7: a worker's memory is bounded by bytes, not rows, and a row of the last quarter costs what
//! one of the first did.
//!
//! Memory is what a worker has of its own (`RssAnon`): the server's shared buffers are not counted.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::Client;

use crate::fixture::{Fixture, Pull, Rows, skip};

/// `lrs_extract.worker_memory`, in MB.
const WORKER_MEMORY: u64 = 64;
/// What the caches of the server and of malloc take differs from version to version and from run to run,
/// in MB.
const ROOM: u64 = 8;
/// A statement of about this size, in MB, passes alone.
const HUGE_STATEMENT: u64 = 30;
/// It is there as it came, as a tape, as values, in the flush buffer, and in the INSERT.
const TIMES_A_HUGE_STATEMENT: u64 = 6;

/// Watches the workers of a fixture until it is asked for their peaks.
struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Watch {
    fn over(fixture: &Fixture) -> Watch {
        let (mut stage, over) = (fixture.stage(), Arc::new(AtomicBool::new(false)));
        let ends = over.clone();
        let thread = thread::spawn(move || {
            let mut peak = 0;
            while !ends.load(Ordering::Relaxed) {
                peak = workers(&mut stage)
                    .iter()
                    .filter_map(|pid| own_memory(*pid))
                    .fold(peak, u64::max);
                thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        Watch { over, thread }
    }

    /// The most that one worker had at a time, in MB.
    fn peak(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch ends") >> 10
    }
}

fn workers(stage: &mut Client) -> Vec<i32> {
    let sql = "select pid from pg_stat_activity
                where backend_type = 'lrs_extract worker' and datname = current_database()";
    stage.query(sql, &[]).expect("the workers").iter().map(|row| row.get(0)).collect()
}

/// What a process has of its own, in kB; `None` once it is gone.
fn own_memory(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// 12,000 statements of 16 kB, none of which compresses: 190 MB, three times the limit.
fn large_rows() -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "insert into acid.lrs_statement_new
         select '2025-04-01 00:00+00'::timestamptz + n * interval '1 minute',
                acid.statement(n, false)
                  || jsonb_build_object('noise', (select string_agg(md5(m::text), '')
                                                    from generate_series(1, 500) m)),
                n
           from generate_series(1, 12000) n;
         analyze acid.lrs_statement_new",
    );
    fixture
}

/// The peak of a worker's memory over one pull in batches of 50,000, in MB.
fn peak_of_a_pull(fixture: &Fixture, jobs: i64, rows: i64) -> u64 {
    let watch = Watch::over(fixture);
    let pulled = Pull::everything().batch(50_000).jobs(jobs).run(&mut fixture.stage());
    let peak = watch.peak();
    assert_eq!(pulled.rows, rows);
    assert!(peak > 0, "no worker was seen");
    peak
}

fn assert_bounded(peak: u64, bound: u64) {
    let bound = bound + ROOM;
    assert!(peak <= bound, "a worker took {peak} MB, and {bound} MB is the bound");
}

#[test]
fn a_worker_keeps_within_its_memory_where_the_source_is_the_slower_one() {
    if cannot_see_memory() {
        return;
    }
    let fixture = large_rows();
    fixture.on_stage("update lrs_extract.pipeline set max_bytes_per_second = 60000000");
    assert_bounded(peak_of_a_pull(&fixture, 1, 12_000), WORKER_MEMORY);
}

#[test]
fn a_worker_keeps_within_its_memory_where_the_insert_is_the_slower_one() {
    if cannot_see_memory() {
        return;
    }
    let fixture = large_rows();
    fixture.slow_target(40);
    assert_bounded(peak_of_a_pull(&fixture, 1, 12_000), WORKER_MEMORY);
}

#[test]
fn a_huge_statement_passes_and_takes_no_more_than_its_copies() {
    if cannot_see_memory() {
        return;
    }
    let fixture = Fixture::with(&Rows::of(2_000));
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new
         select '2025-04-01 00:00+00', acid.statement(1, false)
                  || jsonb_build_object('noise', (select string_agg(md5(m::text), '')
                                                    from generate_series(1, {HUGE_STATEMENT} * 32768) m)), 1"
    ));
    let peak = peak_of_a_pull(&fixture, 1, 2_001);
    assert_bounded(peak, WORKER_MEMORY + TIMES_A_HUGE_STATEMENT * HUGE_STATEMENT);
}

/// By counts alone: what a row writes on the stage, and what the source reads for it.
#[test]
fn a_row_of_the_last_quarter_costs_what_one_of_the_first_did() {
    let fixture = Fixture::with(&Rows::of(20_000));
    let pulled = Pull::everything().batch(250).jobs(1).run(&mut fixture.stage());
    assert_eq!(pulled.rows, 20_000);
    let wal = |quarter: i32| -> f64 {
        let sql = format!(
            "select (sum(wal_bytes) / sum(rows))::float8::text
               from (select b.*, ntile(4) over (order by batch_no) as quarter from lrs_extract.batch b) b
              where quarter = {quarter}"
        );
        fixture.stage_value(&sql).parse().expect("bytes a row")
    };
    // The first batch extends files and fills caches: the second quarter stands for the start.
    let (early, late) = (wal(2), wal(4));
    assert!(
        late <= 1.25 * early,
        "a row writes {late} bytes of WAL at the end, {early} at the start"
    );
}

fn cannot_see_memory() -> bool {
    let missing = own_memory(std::process::id() as i32).is_none();
    if missing {
        skip("this system does not show a process's own memory in /proc");
    }
    missing
}
