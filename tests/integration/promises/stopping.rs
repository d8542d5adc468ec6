//! Promise 6: whatever ends the caller ends the run on both servers, marks it, and leaves it
//! resumable.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Pull, RawClient, Rows, await_that, refusal};

const ROWS: i64 = 10_000;
/// From the caller's end to the last process's.
const STOPS_WITHIN: Duration = Duration::from_millis(1_500);

fn slow_fixture() -> Fixture {
    let fixture = Fixture::with(&Rows::of(ROWS).ties(3).nulls_every(4));
    fixture.slow_target(150);
    fixture
}

fn pull() -> Pull {
    Pull::everything().batch(200)
}

/// Both servers are quiet soon after `ended`, the run is marked, and the same call finishes it.
fn assert_stopped_and_resumable(fixture: &Fixture, ended: Instant) {
    fixture.assert_nothing_left_running();
    let took = ended.elapsed();
    assert!(took < STOPS_WITHIN, "stopped only after {took:?}");
    await_that("the run is marked", Duration::from_secs(5), || {
        fixture.last_run_state() != "running"
    });
    let pulled_before = fixture.target_rows();
    assert!(pulled_before < ROWS, "stopped in the middle");
    fixture.quick_target();
    assert_eq!(fixture.pull_all().rows, ROWS - pulled_before);
    fixture.assert_all_rows();
}

#[test]
fn a_cancel_stops_the_run() {
    let fixture = slow_fixture();
    let running = fixture.start_and_await_a_batch(&pull());
    let ended = Instant::now();
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    assert_eq!(fixture.last_run_state(), "cancelled");
    assert_stopped_and_resumable(&fixture, ended);
}

#[test]
fn the_function_cancel_stops_the_run() {
    let fixture = slow_fixture();
    let running = fixture.start_and_await_a_batch(&pull());
    let ended = Instant::now();
    fixture.on_stage("select lrs_extract.cancel(max(run_id)) from lrs_extract.run");
    let _ = running.result();
    assert_eq!(fixture.last_run_state(), "cancelled");
    assert_stopped_and_resumable(&fixture, ended);
}

#[test]
fn a_terminated_leader_stops_the_run() {
    let fixture = slow_fixture();
    let running = fixture.start_and_await_a_batch(&pull());
    let ended = Instant::now();
    fixture.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert!(running.result().is_err());
    assert_stopped_and_resumable(&fixture, ended);
}

#[test]
fn a_statement_timeout_stops_the_run() {
    let fixture = slow_fixture();
    let mut stage = fixture.stage();
    stage.batch_execute("set statement_timeout = '1500 ms'").expect("set");
    let refused = refusal(pull().try_run(&mut stage));
    let ended = Instant::now();
    assert_eq!(refused.code().code(), "57014");
    assert_stopped_and_resumable(&fixture, ended);
}

#[test]
fn a_caller_who_wants_one_row_gets_it_at_once_and_stops_the_run() {
    let fixture = slow_fixture();
    let rows = fixture.stage().query(&format!("select {} limit 1", pull().call()), &[]);
    let ended = Instant::now();
    assert_eq!(rows.expect("a row").len(), 1);
    assert_stopped_and_resumable(&fixture, ended);
}

#[test]
fn a_client_that_vanishes_stops_the_run() {
    let fixture = slow_fixture();
    let mut client = RawClient::connect(&fixture);
    client.send(&format!("select {}", pull().call()));
    client.read_until(b'D');
    let ended = Instant::now();
    drop(client);
    assert_stopped_and_resumable(&fixture, ended);
}

#[test]
fn a_client_that_vanishes_from_a_materialised_call_stops_the_run() {
    let fixture = slow_fixture();
    let mut client = RawClient::connect(&fixture);
    client.send(&format!("select * from {}", pull().call()));
    await_that("a batch is committed", Duration::from_secs(20), || fixture.committed_batches() > 0);
    let ended = Instant::now();
    drop(client);
    assert_stopped_and_resumable(&fixture, ended);
}

#[test]
fn an_exception_block_that_catches_a_cancel_by_timeout_leaves_nothing_running() {
    let fixture = slow_fixture();
    let mut stage = fixture.stage();
    stage.batch_execute("set statement_timeout = '1500 ms'").expect("set");
    let call = pull().call();
    let block = format!(
        "do $$ begin perform * from {call}; exception when query_canceled then null; end $$"
    );
    stage.batch_execute(&block).expect("the exception is caught");
    assert_stopped_and_resumable(&fixture, Instant::now());
}

#[test]
fn a_source_that_accepts_connections_and_says_nothing_can_be_given_up() {
    let fixture = Fixture::with(&Rows::of(10));
    let silence = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silence.local_addr().expect("its address").port();
    fixture.on_stage(&format!(
        "alter server lrs_source options (set host '127.0.0.1', set port '{port}', add connect_timeout '60')"
    ));
    let running = fixture.start(&pull());
    let (connection, _) = silence.accept().expect("the run connects");
    let ended = Instant::now();
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    fixture.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
    drop(connection);
}

#[test]
fn a_run_that_waits_for_a_lock_on_the_target_can_be_cancelled() {
    let fixture = slow_fixture();
    let running = fixture.start_and_await_a_batch(&pull());
    let mut blocker = fixture.stage();
    let mut transaction = blocker.transaction().expect("begin");
    transaction
        .batch_execute("lock table pipeline.aidt_raw in access exclusive mode")
        .expect("lock");
    await_that("a worker waits for the lock", Duration::from_secs(10), || {
        fixture.stage_value(
            "select count(*) from pg_locks l join pg_stat_activity a using (pid)
             where not l.granted and a.backend_type = 'lrs_extract worker'
               and a.datname = current_database()",
        ) != "0"
    });
    let ended = Instant::now();
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
}

#[test]
fn the_first_row_reaches_the_caller_long_before_the_last_batch() {
    let fixture = slow_fixture();
    let mut client = RawClient::connect(&fixture);
    client.send(&format!("select {}", pull().call()));
    client.read_until(b'D');
    assert!(fixture.committed_batches() < 50, "{} batches already", fixture.committed_batches());
}

#[test]
fn the_function_cancel_stops_a_run_whose_caller_does_not_fetch() {
    let fixture = slow_fixture();
    let mut stage = fixture.stage();
    let call = pull().call();
    stage
        .batch_execute(&format!("begin; declare c cursor for select {call}; fetch 1 from c"))
        .expect("a first batch");
    let told = fixture.stage_value("select lrs_extract.cancel(max(run_id)) from lrs_extract.run");
    assert_eq!(told, "true");
    await_that("the run is marked", Duration::from_secs(5), || {
        fixture.last_run_state() == "cancelled"
    });
    fixture.assert_nothing_left_running();
    let refused = refusal(stage.simple_query("fetch all from c"));
    assert_eq!(refused.code().code(), "57014");
    stage.batch_execute("rollback").expect("rollback");
    fixture.quick_target();
    fixture.pull_all();
    fixture.assert_all_rows();
}
