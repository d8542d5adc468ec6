//! `replay` ended midway, or with others at work on the pipeline: at every moment source rows =
//! target rows + rejects, and the same call goes on with the rest.

use std::time::{Duration, Instant};

use crate::blows::{Victim, a_worker};
use crate::lab::{
    Calling, DEDUP, Lab, Pair, Pull, RawClient, Rows, ServerPlan, Version, await_that, refusal,
    try_call, whole_text,
};
use crate::replay::{REPLAY, rejects, replayed};

/// From the caller's end to the worker's.
const STOPS_WITHIN: Duration = Duration::from_millis(1_500);
const STEPS_WITHIN: Duration = Duration::from_secs(60);

/// A lab of whose rows six in seven are rejects that would fit now.
fn lab_with_rejects(pair: Pair, rows: i64) -> Lab {
    let lab = Lab::on(pair, &Rows::of(rows).ties(3).nulls_every(4));
    lab.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(1)");
    lab.pull_all();
    lab.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(60)");
    assert!(rejects(&lab) > rows / 2, "there are rejects: {}", rejects(&lab));
    lab
}

/// The same with several steps to go, each of which takes more than a second.
fn slow_lab() -> Lab {
    let lab = lab_with_rejects(Pair::shared(), 5_000);
    lab.slow_target(1_500);
    lab
}

fn start(lab: &Lab) -> Calling {
    Calling::by(lab.stage(), REPLAY)
}

fn await_a_step(lab: &Lab, before: i64) {
    await_that("a step is committed", STEPS_WITHIN, || rejects(lab) < before);
}

fn start_and_await_a_step(lab: &Lab) -> Calling {
    let before = rejects(lab);
    let running = start(lab);
    await_a_step(lab, before);
    running
}

/// Makes each step spend its time in the commit: its rows are in the target by then, and its
/// rejects gone, as far as it goes.
fn slow_commits(lab: &Lab) {
    lab.on_stage(
        "create function pipeline.dawdle() returns trigger language plpgsql as
             'begin perform pg_sleep(0.001); return null; end';
         create constraint trigger dawdle after insert on pipeline.aidt_raw
             deferrable initially deferred for each row execute function pipeline.dawdle()",
    );
}

fn assert_rest_goes_in(lab: &Lab) {
    let left = rejects(lab);
    assert!(left > 0, "ended midway");
    assert_eq!(replayed(lab), left);
    assert_eq!(rejects(lab), 0);
    lab.assert_all_rows();
}

#[test]
fn after_every_kill_all_rows_are_there_once_and_the_next_call_goes_on() {
    let lab = lab_with_rejects(Pair::own(), 14_000);
    lab.slow_target(700);
    for victim in Victim::ALL {
        let running = start_and_await_a_step(&lab);
        victim.kill(&lab, running.leader);
        assert!(running.result().is_err(), "{victim:?} killed: the call should end with an error");
        lab.assert_nothing_left_running();
        lab.assert_all_rows();
    }
    lab.quick_target();
    slow_commits(&lab);
    for victim in Victim::ALL {
        let running = start_and_await_a_step(&lab);
        victim.kill(&lab, running.leader);
        assert!(running.result().is_err(), "{victim:?} killed: the call should end with an error");
        lab.assert_nothing_left_running();
        lab.assert_all_rows();
    }
    lab.on_stage("drop trigger dawdle on pipeline.aidt_raw");
    assert_rest_goes_in(&lab);
}

/// The worker is gone soon after `ended`, no row is lost or twice, and the same call goes on.
fn assert_stopped_midway(lab: &Lab, ended: Instant) {
    lab.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
    lab.assert_all_rows();
    lab.quick_target();
    assert_rest_goes_in(lab);
}

#[test]
fn a_cancel_stops_it_within_a_second() {
    let lab = slow_lab();
    let running = start_and_await_a_step(&lab);
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    assert_stopped_midway(&lab, ended);
}

#[test]
fn a_terminated_caller_stops_it() {
    let lab = slow_lab();
    let running = start_and_await_a_step(&lab);
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert!(running.result().is_err());
    assert_stopped_midway(&lab, ended);
}

#[test]
fn a_statement_timeout_stops_it() {
    let lab = slow_lab();
    let mut session = lab.stage();
    session.batch_execute("set statement_timeout = '3500 ms'").expect("set");
    assert_eq!(refusal(try_call(&mut session, REPLAY)).code().code(), "57014");
    assert_stopped_midway(&lab, Instant::now());
}

#[test]
fn a_client_that_vanishes_stops_it() {
    let lab = slow_lab();
    let before = rejects(&lab);
    let mut client = RawClient::connect(&lab);
    client.send(&format!("select {REPLAY}"));
    await_a_step(&lab, before);
    let ended = Instant::now();
    drop(client);
    assert_stopped_midway(&lab, ended);
}

#[test]
fn a_terminated_worker_ends_the_call_in_words() {
    let lab = slow_lab();
    let running = start_and_await_a_step(&lab);
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_terminate_backend({})", a_worker(&lab)));
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "57P01", "{}", whole_text(&refused));
    let hint = refused.hint().unwrap_or_default();
    assert!(hint.contains("The same call"), "{}", whole_text(&refused));
    assert_stopped_midway(&lab, ended);
}

#[test]
fn a_worker_that_waits_for_a_lock_can_be_cancelled() {
    let lab = lab_with_rejects(Pair::shared(), 500);
    let mut blocker = lab.stage();
    blocker.batch_execute("begin; lock table pipeline.aidt_raw").expect("a lock");
    let running = start(&lab);
    lab.await_a_worker_that_waits_for_a_lock();
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    lab.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
    drop(blocker);
    lab.assert_all_rows();
}

#[test]
fn a_lock_of_the_callers_own_transaction_is_told_at_once() {
    let lab = lab_with_rejects(Pair::shared(), 500);
    let mut session = lab.stage();
    session.batch_execute("begin; lock table pipeline.aidt_raw").expect("a lock");
    let began = Instant::now();
    let refused = refusal(Calling::by(session, REPLAY).result());
    assert!(began.elapsed() < Duration::from_secs(15), "only after {:?}", began.elapsed());
    assert_eq!(refused.code().code(), "40P01", "{}", whole_text(&refused));
    assert!(refused.hint().is_some_and(|h| h.contains("replay")), "{}", whole_text(&refused));
    lab.assert_nothing_left_running();
}

#[test]
fn a_reject_that_somebody_deletes_meanwhile_is_not_loaded() {
    let lab = lab_with_rejects(Pair::shared(), 300);
    let (before, rows) = (rejects(&lab), lab.target_rows());
    let mut other = lab.stage();
    other
        .batch_execute("begin; delete from lrs_extract.reject where reject_id % 2 = 0")
        .expect("a delete");
    let running = start(&lab);
    lab.await_a_worker_that_waits_for_a_lock();
    other.batch_execute("commit").expect("a commit");
    let went_in = running.result().expect("a count");
    assert!(went_in > 0 && went_in < before, "{went_in} of {before}");
    assert_eq!((rejects(&lab), lab.target_rows()), (0, rows + went_in));
}

#[test]
fn beside_it_every_other_call_is_refused_and_told_who_holds_the_pipeline() {
    let lab = slow_lab();
    let running = start_and_await_a_step(&lab);
    let forget = "lrs_extract.forget('2025-03-01', '2025-08-01')";
    for call in [&Pull::everything().call(), DEDUP, REPLAY, forget] {
        lab.assert_refused_beside(call, running.leader, "replay of pipeline aidt: step");
    }
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
}

#[test]
fn until_the_callers_transaction_ends_the_pipeline_is_held() {
    let lab = lab_with_rejects(Pair::shared(), 300);
    let mut session = lab.stage();
    let pid: i32 = session.query_one("select pg_backend_pid()", &[]).expect("a pid").get(0);
    session.batch_execute("begin").expect("begin");
    assert!(try_call(&mut session, REPLAY).expect("a count") > 0);
    lab.assert_refused_beside(REPLAY, pid, "a transaction that has not ended yet");
    session.batch_execute("commit").expect("a commit");
    assert_eq!(replayed(&lab), 0);
}

#[test]
fn beside_a_pull_it_is_refused() {
    let lab = lab_with_rejects(Pair::shared(), 1_000);
    lab.slow_target(200);
    let running = lab.start_and_await_a_batch(&Pull::everything().batch(20).again());
    let run = lab.stage_value("select max(run_id) from lrs_extract.run");
    let refused = refusal(try_call(&mut lab.stage(), REPLAY));
    assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
    assert!(refused.message().contains(&format!("run {run}")), "{}", whole_text(&refused));
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
}

#[test]
fn without_a_free_worker_slot_the_setting_is_named() {
    // The launcher of logical replication takes the only slot.
    let stage = ServerPlan::of(Version::stage()).setting("max_worker_processes = 1");
    let lab = Lab::on(Pair::of(ServerPlan::of(Version::source()), stage), &Rows::of(0));
    for call in [REPLAY, DEDUP] {
        let refused = refusal(try_call(&mut lab.stage(), call));
        assert_eq!(refused.code().code(), "53400", "{}", whole_text(&refused));
        let words = whole_text(&refused);
        assert!(words.contains("max_worker_processes") && refused.hint().is_some(), "{words}");
    }
}
