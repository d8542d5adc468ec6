//! Promise 2 with violence: whatever is killed and whenever, the same call again goes on, nothing
//! is lost, nothing doubled, and nothing is left running.

use std::time::Duration;

use crate::fixture::{Lab, Pair, Pull, Rows, Running, await_some, await_that, refusal};

const ROWS: i64 = 40_000;

fn pull() -> Pull {
    Pull::everything().batch(200)
}

/// A lab on servers of its own whose run takes long enough to be hit.
fn lab_to_be_hit() -> Lab {
    let lab = Lab::on(Pair::own(), &Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(4));
    lab.slow_target(30);
    lab
}

fn assert_ends_badly(what: &str, running: Running) {
    assert!(running.result().is_err(), "{what}: the call should end with an error");
}

/// The process id of one of the lab's workers.
pub fn a_worker(lab: &Lab) -> String {
    await_some("a worker runs", Duration::from_secs(10), || {
        let pid = lab.stage_value(
            "select min(pid) from pg_stat_activity
             where backend_type = 'lrs_extract worker' and datname = current_database()",
        );
        (!pid.is_empty()).then_some(pid)
    })
}

/// Kills a process of the stage and waits for the restart that every such death brings.
fn kill_9(lab: &Lab, pid: &str) {
    let starts = || lab.pair.stage.log().matches("ready to accept connections").count();
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
    pub fn kill(self, lab: &Lab, leader: i32) {
        match self {
            Victim::Worker => kill_9(lab, &a_worker(lab)),
            Victim::Leader => kill_9(lab, &leader.to_string()),
            Victim::Postmaster => {
                lab.pair.stage.kill();
                lab.pair.stage.start_again();
            }
        }
    }
}

fn terminate_source_backends(lab: &Lab) {
    lab.on_source(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where application_name like 'lrs_extract%' and datname = current_database()",
    );
}

fn assert_the_same_call_finishes(lab: &Lab) {
    lab.assert_nothing_left_running();
    lab.quick_target();
    Pull::everything().batch(5_000).run(&mut lab.stage());
    lab.assert_all_rows();
    assert_eq!(lab.pull_all().rows, 0, "a second call pulls nothing");
    lab.assert_nothing_left_running();
}

#[test]
fn one_kill_after_another_and_then_one_call() {
    let lab = lab_to_be_hit();

    let running = lab.start_and_await_a_batch(&pull());
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_ends_badly("leader cancelled", running);
    lab.assert_nothing_left_running();

    let running = lab.start_and_await_a_batch(&pull());
    lab.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert_ends_badly("leader terminated", running);
    lab.assert_nothing_left_running();

    let running = lab.start_and_await_a_batch(&pull());
    lab.on_stage(&format!("select pg_terminate_backend({})", a_worker(&lab)));
    assert_ends_badly("worker terminated", running);
    lab.assert_nothing_left_running();

    let running = lab.start_and_await_a_batch(&pull());
    kill_9(&lab, &a_worker(&lab));
    assert_ends_badly("worker killed", running);
    lab.assert_nothing_left_running();

    let running = lab.start_and_await_a_batch(&pull());
    kill_9(&lab, &running.leader.to_string());
    assert_ends_badly("leader killed", running);
    lab.assert_nothing_left_running();

    let running = lab.start_and_await_a_batch(&pull());
    lab.pair.stage.kill();
    assert_ends_badly("stage killed", running);
    lab.pair.stage.start_again();
    lab.assert_nothing_left_running();

    let running = lab.start_and_await_a_batch(&pull());
    lab.pair.stage.restart_immediately();
    assert_ends_badly("stage restarted", running);
    lab.assert_nothing_left_running();

    assert!(lab.target_rows() < ROWS, "the kills fell during the run");
    assert_the_same_call_finishes(&lab);
}

#[test]
fn a_run_survives_the_termination_of_its_source_backends() {
    let lab = Lab::with(&Rows::of(10_000).ties(3).nulls_every(4));
    lab.slow_target(30);
    let running = lab.start_and_await_a_batch(&pull());
    for _ in 0..3 {
        terminate_source_backends(&lab);
        lab.await_another_batch();
    }
    assert_eq!(running.pulled().rows, 10_000);
    lab.assert_all_rows();
    lab.assert_nothing_left_running();
}

#[test]
fn a_run_survives_an_immediate_restart_of_the_source() {
    let lab = Lab::on(Pair::own(), &Rows::of(10_000).ties(3).nulls_every(4));
    lab.slow_target(60);
    let running = lab.start_and_await_a_batch(&pull());
    lab.pair.source.restart_immediately();
    lab.await_another_batch();
    lab.pair.source.kill();
    lab.pair.source.start_again();
    assert_eq!(running.pulled().rows, 10_000);
    lab.assert_all_rows();
    lab.assert_nothing_left_running();
}

#[test]
fn a_run_whose_source_stays_away_fails_in_words_and_goes_on_later() {
    let lab = Lab::on(Pair::own(), &Rows::of(10_000).ties(3).nulls_every(4));
    lab.on_stage("update lrs_extract.pipeline set retries = 2, retry_delay = '100 ms'");
    lab.slow_target(30);
    let running = lab.start_and_await_a_batch(&pull());
    lab.pair.source.kill();
    let error = refusal(running.result());
    assert!(error.hint().is_some(), "a hint in {error:?}");
    assert_eq!(&error.code().code()[..2], "08", "a connection error in {error:?}");
    assert_eq!(lab.last_run_state(), "failed");
    lab.pair.source.start_again();
    assert_the_same_call_finishes(&lab);
}

#[test]
fn a_run_whose_stage_was_killed_is_shown_as_interrupted() {
    let lab = Lab::on(Pair::own(), &Rows::of(5_000));
    lab.slow_target(50);
    let running = lab.start_and_await_a_batch(&pull());
    lab.pair.stage.kill();
    assert_ends_badly("stage killed", running);
    lab.pair.stage.start_again();
    assert_eq!(lab.last_run_state(), "interrupted");
}

#[test]
fn a_worker_that_is_terminated_ends_the_run_as_failed_or_cancelled() {
    let lab = Lab::with(&Rows::of(5_000));
    lab.slow_target(50);
    let running = lab.start_and_await_a_batch(&pull());
    lab.on_stage(&format!("select pg_terminate_backend({})", a_worker(&lab)));
    assert_ends_badly("worker terminated", running);
    await_that("the run is marked", Duration::from_secs(5), || {
        ["failed", "cancelled", "interrupted"].contains(&lab.last_run_state().as_str())
    });
}
