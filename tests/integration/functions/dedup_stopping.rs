//! `dedup` ended midway: the worker goes at once, what it had committed stays, and the same call
//! removes the rest.

use std::time::Instant;

use crate::fixture::{DEDUP, Fixture, Pair, Rows, Stepwise, dedup};

/// A statement_timeout in which a step is done, on a busy machine too.
const MIDWAY: &str = "8 s";

/// Several steps to go, each of which takes more than a second.
fn slow_dedup() -> Stepwise {
    let fixture = Fixture::of_pairs(25_000);
    fixture.slow_steps(1_500);
    fixture.stepwise_dedup()
}

/// The same, with one step that is done and a second that never is.
fn dedup_until_a_timeout() -> Stepwise {
    let fixture = Fixture::of_pairs(25_000);
    fixture.stand_still_after_a_step();
    fixture.stepwise_dedup()
}

/// What was committed stays, and the same call goes on.
fn assert_midway(fixture: &Fixture) {
    let rows = fixture.target_rows();
    assert!((25_001..50_000).contains(&rows), "stopped midway: {rows} rows");
    fixture.on_stage("drop trigger linger on pipeline.aidt_raw");
    assert_eq!(dedup(&mut fixture.stage()), rows - 25_000);
    fixture.assert_each_id_once();
}

#[test]
fn after_every_kill_no_id_has_gone_and_the_next_call_removes_the_rest() {
    const IDS: i64 = 45_000;
    let fixture = Fixture::on(Pair::own(), &Rows::of(0)).and_pairs(IDS);
    fixture.slow_steps(1_200);
    let dedup_of_pairs = fixture.stepwise_dedup();
    dedup_of_pairs.kill_all(|fixture| fixture.assert_ids(IDS));
    let fixture = &dedup_of_pairs.fixture;
    let rows = fixture.target_rows();
    assert!((IDS + 1..2 * IDS).contains(&rows), "killed midway: {rows} rows");
    fixture.on_stage("drop trigger linger on pipeline.aidt_raw");
    assert_eq!(dedup(&mut fixture.stage()), rows - IDS);
    fixture.assert_each_id_once();
    fixture.assert_ids(IDS);
}

#[test]
fn a_cancel_stops_it_within_a_second() {
    let dedup = slow_dedup();
    dedup.cancel();
    assert_midway(&dedup.fixture);
}

#[test]
fn a_terminated_caller_stops_it() {
    let dedup = slow_dedup();
    dedup.terminate_caller();
    assert_midway(&dedup.fixture);
}

#[test]
fn a_terminated_worker_ends_the_call_in_words() {
    let dedup = slow_dedup();
    dedup.terminate_worker();
    assert_midway(&dedup.fixture);
}

#[test]
fn a_statement_timeout_stops_it() {
    let dedup = dedup_until_a_timeout();
    dedup.time_out(MIDWAY);
    assert_midway(&dedup.fixture);
}

#[test]
fn a_client_that_vanishes_stops_it() {
    let dedup = slow_dedup();
    dedup.lose_the_client();
    assert_midway(&dedup.fixture);
}

#[test]
fn an_exception_block_that_catches_the_timeout_leaves_nothing_running() {
    let dedup = dedup_until_a_timeout();
    let mut session = dedup.fixture.stage();
    session.batch_execute(&format!("set statement_timeout = '{MIDWAY}'")).expect("set");
    let block =
        format!("do $$ begin perform {DEDUP}; exception when query_canceled then null; end $$");
    session.batch_execute(&block).expect("the exception is caught");
    dedup.assert_stopped(Instant::now());
    assert_midway(&dedup.fixture);
}

#[test]
fn a_worker_that_waits_for_a_lock_can_be_cancelled() {
    Fixture::of_pairs(5).stepwise_dedup().cancel_while_it_waits_for_a_lock();
}

#[test]
fn a_lock_of_the_callers_own_transaction_is_told_at_once() {
    Fixture::of_pairs(5).stepwise_dedup().assert_own_lock_is_told_at_once();
}
