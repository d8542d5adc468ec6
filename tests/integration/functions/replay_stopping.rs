//! `replay` ended midway, or with others at work on the pipeline: at every moment source rows =
//! target rows + rejects, and the same call goes on with the rest.

use crate::fixture::{
    Calling, DEDUP, Fixture, Pair, Pull, Rows, ServerPlan, Stepwise, Version, refusal, try_call,
    whole_text,
};
use crate::functions::replay::{REPLAY, rejects, replayed};

/// A fixture of whose rows six in seven are rejects that would fit now.
fn fixture_with_rejects(pair: Pair, rows: i64) -> Fixture {
    let fixture = Fixture::on(pair, &Rows::of(rows).ties(3).nulls_every(4));
    fixture.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(1)");
    fixture.pull_all();
    fixture.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(60)");
    assert!(rejects(&fixture) > rows / 2, "there are rejects: {}", rejects(&fixture));
    fixture
}

fn stepwise(fixture: Fixture) -> Stepwise {
    Stepwise { fixture, name: "replay", call: REPLAY, left: rejects }
}

/// Several steps to go, each of which takes more than a second.
fn slow_replay() -> Stepwise {
    let fixture = fixture_with_rejects(Pair::shared(), 5_000);
    fixture.slow_target(1_500);
    stepwise(fixture)
}

/// Makes each step spend its time in the commit: its rows are in the target by then, and its
/// rejects gone, as far as it goes.
fn slow_commits(fixture: &Fixture) {
    fixture.on_stage(
        "create function pipeline.dawdle() returns trigger language plpgsql as
             'begin perform pg_sleep(0.001); return null; end';
         create constraint trigger dawdle after insert on pipeline.aidt_raw
             deferrable initially deferred for each row execute function pipeline.dawdle()",
    );
}

fn assert_rest_goes_in(fixture: &Fixture) {
    let left = rejects(fixture);
    assert!(left > 0, "ended midway");
    assert_eq!(replayed(fixture), left);
    assert_eq!(rejects(fixture), 0);
    fixture.assert_all_rows();
}

/// No row is lost or twice, and the same call goes on.
fn assert_midway(fixture: &Fixture) {
    fixture.assert_all_rows();
    fixture.quick_target();
    assert_rest_goes_in(fixture);
}

#[test]
fn after_every_kill_all_rows_are_there_once_and_the_next_call_goes_on() {
    let replay = stepwise(fixture_with_rejects(Pair::own(), 14_000));
    let fixture = &replay.fixture;
    fixture.slow_target(700);
    replay.kill_all(Fixture::assert_all_rows);
    fixture.quick_target();
    slow_commits(fixture);
    replay.kill_all(Fixture::assert_all_rows);
    fixture.on_stage("drop trigger dawdle on pipeline.aidt_raw");
    assert_rest_goes_in(fixture);
}

#[test]
fn a_cancel_stops_it_within_a_second() {
    let replay = slow_replay();
    replay.cancel();
    assert_midway(&replay.fixture);
}

#[test]
fn a_terminated_caller_stops_it() {
    let replay = slow_replay();
    replay.terminate_caller();
    assert_midway(&replay.fixture);
}

#[test]
fn a_statement_timeout_stops_it() {
    let replay = slow_replay();
    replay.time_out("3500 ms");
    assert_midway(&replay.fixture);
}

#[test]
fn a_client_that_vanishes_stops_it() {
    let replay = slow_replay();
    replay.lose_the_client();
    assert_midway(&replay.fixture);
}

#[test]
fn a_terminated_worker_ends_the_call_in_words() {
    let replay = slow_replay();
    replay.terminate_worker();
    assert_midway(&replay.fixture);
}

#[test]
fn a_worker_that_waits_for_a_lock_can_be_cancelled() {
    let replay = stepwise(fixture_with_rejects(Pair::shared(), 500));
    replay.cancel_while_it_waits_for_a_lock();
    replay.fixture.assert_all_rows();
}

#[test]
fn a_lock_of_the_callers_own_transaction_is_told_at_once() {
    stepwise(fixture_with_rejects(Pair::shared(), 500)).assert_own_lock_is_told_at_once();
}

#[test]
fn a_reject_that_somebody_deletes_meanwhile_is_not_loaded() {
    let fixture = fixture_with_rejects(Pair::shared(), 300);
    let (before, rows) = (rejects(&fixture), fixture.target_rows());
    let mut other = fixture.stage();
    other
        .batch_execute("begin; delete from lrs_extract.reject where reject_id % 2 = 0")
        .expect("a delete");
    let running = Calling::by(fixture.stage(), REPLAY);
    fixture.await_a_worker_that_waits_for_a_lock();
    other.batch_execute("commit").expect("a commit");
    let went_in = running.result().expect("a count");
    assert!(went_in > 0 && went_in < before, "{went_in} of {before}");
    assert_eq!((rejects(&fixture), fixture.target_rows()), (0, rows + went_in));
}

#[test]
fn beside_it_every_other_call_is_refused_and_told_who_holds_the_pipeline() {
    let replay = slow_replay();
    let fixture = &replay.fixture;
    let running = replay.start_and_await_a_step();
    let forget = "lrs_extract.forget('2025-03-01', '2025-08-01')";
    for call in [&Pull::everything().call(), DEDUP, REPLAY, forget] {
        fixture.assert_refused_beside(call, running.leader, "replay of pipeline aidt: step");
    }
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
}

#[test]
fn until_the_callers_transaction_ends_the_pipeline_is_held() {
    let fixture = fixture_with_rejects(Pair::shared(), 300);
    let mut session = fixture.stage();
    let pid: i32 = session.query_one("select pg_backend_pid()", &[]).expect("a pid").get(0);
    session.batch_execute("begin").expect("begin");
    assert!(try_call(&mut session, REPLAY).expect("a count") > 0);
    fixture.assert_refused_beside(REPLAY, pid, "a transaction that has not ended yet");
    session.batch_execute("commit").expect("a commit");
    assert_eq!(replayed(&fixture), 0);
}

#[test]
fn beside_a_pull_it_is_refused() {
    let fixture = fixture_with_rejects(Pair::shared(), 1_000);
    fixture.slow_target(200);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(20).again());
    let run = fixture.stage_value("select max(run_id) from lrs_extract.run");
    let refused = refusal(try_call(&mut fixture.stage(), REPLAY));
    assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
    assert!(refused.message().contains(&format!("run {run}")), "{}", whole_text(&refused));
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
}

#[test]
fn without_a_free_worker_slot_the_setting_is_named() {
    // The launcher of logical replication takes the only slot.
    let stage = ServerPlan::of(Version::stage()).setting("max_worker_processes = 1");
    let fixture = Fixture::on(Pair::of(ServerPlan::of(Version::source()), stage), &Rows::of(0));
    for call in [REPLAY, DEDUP] {
        let refused = refusal(try_call(&mut fixture.stage(), call));
        assert_eq!(refused.code().code(), "53400", "{}", whole_text(&refused));
        let words = whole_text(&refused);
        assert!(words.contains("max_worker_processes") && refused.hint().is_some(), "{words}");
    }
}
