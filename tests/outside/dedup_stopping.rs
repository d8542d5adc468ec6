//! `dedup` ended midway: the worker goes at once, what it had committed stays, and the same call
//! removes the rest.

use std::time::{Duration, Instant};

use crate::blows::{Victim, a_worker};
use crate::lab::{
    Calling, DEDUP, Lab, Pair, RawClient, Rows, await_that, dedup, refusal, try_dedup, whole_text,
};

/// From the caller's end to the worker's.
const STOPS_WITHIN: Duration = Duration::from_millis(1_500);

#[test]
fn after_every_kill_no_id_has_gone_and_the_next_call_removes_the_rest() {
    const IDS: i64 = 65_000;
    let lab = Lab::on(Pair::own(), &Rows::of(0)).and_pairs(IDS);
    lab.slow_steps(700);
    for victim in Victim::ALL {
        let running = lab.start_dedup_and_await_a_step();
        victim.kill(&lab, running.leader);
        assert!(running.result().is_err(), "{victim:?} killed: the call should end with an error");
        lab.assert_nothing_left_running();
        lab.assert_ids(IDS);
    }
    let rows = lab.target_rows();
    assert!((IDS + 1..2 * IDS).contains(&rows), "killed midway: {rows} rows");
    lab.on_stage("drop trigger linger on pipeline.aidt_raw");
    assert_eq!(dedup(&mut lab.stage()), rows - IDS);
    lab.assert_each_id_once();
    lab.assert_ids(IDS);
}

#[test]
fn a_terminated_worker_ends_the_call_in_words() {
    let lab = Lab::of_pairs(25_000);
    lab.slow_steps(700);
    let running = lab.start_dedup_and_await_a_step();
    lab.on_stage(&format!("select pg_terminate_backend({})", a_worker(&lab)));
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "57P01", "{}", whole_text(&refused));
    assert!(
        refused.hint().is_some_and(|h| h.contains("The same call")),
        "{}",
        whole_text(&refused)
    );
    lab.assert_nothing_left_running();
}

/// The worker is gone soon after `ended`, what it had committed stays, and the same call goes on.
fn assert_stopped_midway(lab: &Lab, ended: Instant) {
    lab.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
    let rows = lab.target_rows();
    assert!((25_001..50_000).contains(&rows), "stopped midway: {rows} rows");
    lab.on_stage("drop trigger linger on pipeline.aidt_raw");
    assert_eq!(dedup(&mut lab.stage()), rows - 25_000);
    lab.assert_each_id_once();
}

fn slow_lab() -> Lab {
    let lab = Lab::of_pairs(25_000);
    lab.slow_steps(1_500);
    lab
}

#[test]
fn a_cancel_stops_it_within_a_second() {
    let lab = slow_lab();
    let running = lab.start_dedup_and_await_a_step();
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    assert_stopped_midway(&lab, ended);
}

#[test]
fn a_terminated_caller_stops_it() {
    let lab = slow_lab();
    let running = lab.start_dedup_and_await_a_step();
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
    assert_eq!(refusal(try_dedup(&mut session)).code().code(), "57014");
    assert_stopped_midway(&lab, Instant::now());
}

#[test]
fn a_client_that_vanishes_stops_it() {
    let lab = slow_lab();
    let mut client = RawClient::connect(&lab);
    client.send(&format!("select {DEDUP}"));
    await_that("a step is committed", Duration::from_secs(60), || lab.target_rows() < 50_000);
    let ended = Instant::now();
    drop(client);
    assert_stopped_midway(&lab, ended);
}

#[test]
fn an_exception_block_that_catches_the_timeout_leaves_nothing_running() {
    let lab = slow_lab();
    let mut session = lab.stage();
    session.batch_execute("set statement_timeout = '3500 ms'").expect("set");
    let block =
        format!("do $$ begin perform {DEDUP}; exception when query_canceled then null; end $$");
    session.batch_execute(&block).expect("the exception is caught");
    assert_stopped_midway(&lab, Instant::now());
}

#[test]
fn a_worker_that_waits_for_a_lock_can_be_cancelled() {
    let lab = Lab::of_pairs(5);
    let mut blocker = lab.stage();
    blocker.batch_execute("begin; lock table pipeline.aidt_raw").expect("a lock");
    let running = lab.start_dedup();
    lab.await_a_worker_that_waits_for_a_lock();
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    lab.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
}

#[test]
fn a_lock_of_the_callers_own_transaction_is_told_at_once() {
    let lab = Lab::of_pairs(5);
    let mut session = lab.stage();
    session.batch_execute("begin; lock table pipeline.aidt_raw").expect("a lock");
    let began = Instant::now();
    let refused = refusal(Calling::by(session, DEDUP).result());
    assert!(began.elapsed() < Duration::from_secs(15), "only after {:?}", began.elapsed());
    assert_eq!(refused.code().code(), "40P01", "{}", whole_text(&refused));
    assert!(refused.hint().is_some_and(|h| h.contains("dedup")), "{}", whole_text(&refused));
    lab.assert_nothing_left_running();
}
