//! Promise 2 with violence: whatever is killed and whenever, the same call again goes on, nothing
//! is lost, nothing doubled, and nothing is left running.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Pair, Pull, Rows, Running, await_some, await_that, refusal};

const ROWS: i64 = 20_000;

fn pull() -> Pull {
    Pull::everything().batch(200)
}

/// A fixture on servers of its own whose run takes long enough to be hit. It is walked by key; those of
/// `heap_walk` are not.
fn fixture_to_be_hit() -> Fixture {
    let rows = Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(4).in_key_order();
    let fixture = Fixture::on(Pair::own(), &rows);
    fixture.slow_target(60);
    fixture
}

fn assert_ends_badly(what: &str, running: Running) {
    assert!(running.result().is_err(), "{what}: the call should end with an error");
}

/// The process id of one of the fixture's workers.
pub fn a_worker(fixture: &Fixture) -> String {
    await_some("a worker runs", Duration::from_secs(10), || {
        let pid = fixture.stage_value(
            "select min(pid) from pg_stat_activity
             where backend_type = 'lrs_extract worker' and datname = current_database()",
        );
        (!pid.is_empty()).then_some(pid)
    })
}

/// Kills a process of the stage and waits for the restart that every such death brings.
fn kill_9(fixture: &Fixture, pid: &str) {
    let starts = || fixture.pair.stage.log().matches("ready to accept connections").count();
    let before = starts();
    let pid = rustix::process::Pid::from_raw(pid.parse().expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    await_that("the stage is back", Duration::from_secs(20), || starts() > before);
}

/// Who is killed while a call of the stage goes on.
#[derive(Clone, Copy, Debug)]
pub enum Victim {
    Worker,
    Leader,
    Postmaster,
}

impl Victim {
    pub const ALL: [Victim; 3] = [Victim::Worker, Victim::Leader, Victim::Postmaster];

    /// Kills it, and waits until the stage is back.
    pub fn kill(self, fixture: &Fixture, leader: i32) {
        match self {
            Victim::Worker => kill_9(fixture, &a_worker(fixture)),
            Victim::Leader => kill_9(fixture, &leader.to_string()),
            Victim::Postmaster => {
                fixture.pair.stage.kill();
                fixture.pair.stage.start_again();
            }
        }
    }
}

fn terminate_source_backends(fixture: &Fixture) {
    fixture.on_source(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where application_name like 'lrs_extract%' and datname = current_database()",
    );
}

fn assert_the_same_call_finishes(fixture: &Fixture) {
    fixture.assert_nothing_left_running();
    fixture.quick_target();
    Pull::everything().batch(5_000).run(&mut fixture.stage());
    fixture.assert_all_rows();
    assert_eq!(fixture.pull_all().rows, 0, "a second call pulls nothing");
    fixture.assert_nothing_left_running();
}

#[test]
fn one_kill_after_another_and_then_one_call() {
    let fixture = fixture_to_be_hit();

    let running = fixture.start_and_await_a_batch(&pull());
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_ends_badly("leader cancelled", running);
    fixture.assert_nothing_left_running();

    let running = fixture.start_and_await_a_batch(&pull());
    fixture.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert_ends_badly("leader terminated", running);
    fixture.assert_nothing_left_running();

    let running = fixture.start_and_await_a_batch(&pull());
    fixture.on_stage(&format!("select pg_terminate_backend({})", a_worker(&fixture)));
    assert_ends_badly("worker terminated", running);
    fixture.assert_nothing_left_running();

    let running = fixture.start_and_await_a_batch(&pull());
    kill_9(&fixture, &a_worker(&fixture));
    assert_ends_badly("worker killed", running);
    fixture.assert_nothing_left_running();

    let running = fixture.start_and_await_a_batch(&pull());
    kill_9(&fixture, &running.leader.to_string());
    assert_ends_badly("leader killed", running);
    fixture.assert_nothing_left_running();

    let running = fixture.start_and_await_a_batch(&pull());
    fixture.pair.stage.kill();
    assert_ends_badly("stage killed", running);
    fixture.pair.stage.start_again();
    fixture.assert_nothing_left_running();

    let running = fixture.start_and_await_a_batch(&pull());
    fixture.pair.stage.restart_immediately();
    assert_ends_badly("stage restarted", running);
    fixture.assert_nothing_left_running();

    assert!(fixture.target_rows() < ROWS, "the kills fell during the run");
    assert_the_same_call_finishes(&fixture);
}

#[test]
fn a_run_survives_the_termination_of_its_source_backends() {
    let fixture = Fixture::with(&Rows::of(10_000).ties(3).nulls_every(4));
    fixture.slow_target(30);
    let running = fixture.start_and_await_a_batch(&pull());
    for _ in 0..3 {
        terminate_source_backends(&fixture);
        fixture.await_another_batch();
    }
    assert_eq!(running.pulled().rows, 10_000);
    fixture.assert_all_rows();
    fixture.assert_nothing_left_running();
}

#[test]
fn a_run_survives_an_immediate_restart_of_the_source() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(10_000).ties(3).nulls_every(4));
    fixture.slow_target(60);
    let running = fixture.start_and_await_a_batch(&pull());
    fixture.pair.source.restart_immediately();
    fixture.await_another_batch();
    fixture.pair.source.kill();
    fixture.pair.source.start_again();
    assert_eq!(running.pulled().rows, 10_000);
    fixture.assert_all_rows();
    fixture.assert_nothing_left_running();
}

#[test]
fn a_run_whose_source_stays_away_fails_in_words_and_goes_on_later() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(10_000).ties(3).nulls_every(4));
    fixture.on_stage("update lrs_extract.pipeline set retries = 2, retry_delay = '100 ms'");
    fixture.slow_target(30);
    let running = fixture.start_and_await_a_batch(&pull());
    fixture.pair.source.kill();
    let error = refusal(running.result());
    assert!(error.hint().is_some(), "a hint in {error:?}");
    assert_eq!(&error.code().code()[..2], "08", "a connection error in {error:?}");
    assert_eq!(fixture.last_run_state(), "failed");
    fixture.pair.source.start_again();
    assert_the_same_call_finishes(&fixture);
}

#[test]
fn a_run_whose_stage_was_killed_is_shown_as_interrupted() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(5_000));
    fixture.slow_target(500);
    let running = fixture.start_and_await_a_batch(&pull());
    fixture.await_workers_in_a_flush(2);
    let begun = Instant::now();
    fixture.pair.stage.kill();
    // While any of its processes is there, the server cannot start again.
    assert!(begun.elapsed() < Duration::from_secs(6), "gone only after {:?}", begun.elapsed());
    assert_ends_badly("stage killed", running);
    fixture.pair.stage.start_again();
    assert_eq!(fixture.last_run_state(), "interrupted");
}

#[test]
fn a_worker_that_is_terminated_ends_the_run_as_failed_or_cancelled() {
    let fixture = Fixture::with(&Rows::of(5_000));
    fixture.slow_target(50);
    let running = fixture.start_and_await_a_batch(&pull());
    fixture.on_stage(&format!("select pg_terminate_backend({})", a_worker(&fixture)));
    assert_ends_badly("worker terminated", running);
    await_that("the run is marked", Duration::from_secs(5), || {
        ["failed", "cancelled", "interrupted"].contains(&fixture.last_run_state().as_str())
    });
}
