//! Promise 6: whatever ends the caller ends the run on both servers, marks it, and leaves it
//! resumable.

use std::time::{Duration, Instant};

use crate::fixture::{Lab, Pull, RawClient, Rows, await_that, refusal};

/// From the caller's end to the last process's.
const STOPS_WITHIN: Duration = Duration::from_millis(1_500);

fn slow_lab() -> Lab {
    let lab = Lab::with(&Rows::of(20_000).ties(3).nulls_every(4));
    lab.slow_target(100);
    lab
}

fn pull() -> Pull {
    Pull::everything().batch(200)
}

/// Both servers are quiet soon after `ended`, the run is marked, and the same call finishes it.
fn assert_stopped_and_resumable(lab: &Lab, ended: Instant) {
    lab.assert_nothing_left_running();
    let took = ended.elapsed();
    assert!(took < STOPS_WITHIN, "stopped only after {took:?}");
    await_that("the run is marked", Duration::from_secs(5), || lab.last_run_state() != "running");
    let pulled_before = lab.target_rows();
    assert!(pulled_before < 20_000, "stopped in the middle");
    lab.quick_target();
    assert_eq!(lab.pull_all().rows, 20_000 - pulled_before);
    lab.assert_all_rows();
}

#[test]
fn a_cancel_stops_the_run() {
    let lab = slow_lab();
    let running = lab.start_and_await_a_batch(&pull());
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    assert_eq!(lab.last_run_state(), "cancelled");
    assert_stopped_and_resumable(&lab, ended);
}

#[test]
fn the_function_cancel_stops_the_run() {
    let lab = slow_lab();
    let running = lab.start_and_await_a_batch(&pull());
    let ended = Instant::now();
    lab.on_stage("select lrs_extract.cancel(max(run_id)) from lrs_extract.run");
    let _ = running.result();
    assert_eq!(lab.last_run_state(), "cancelled");
    assert_stopped_and_resumable(&lab, ended);
}

#[test]
fn a_terminated_leader_stops_the_run() {
    let lab = slow_lab();
    let running = lab.start_and_await_a_batch(&pull());
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert!(running.result().is_err());
    assert_stopped_and_resumable(&lab, ended);
}

#[test]
fn a_statement_timeout_stops_the_run() {
    let lab = slow_lab();
    let mut stage = lab.stage();
    stage.batch_execute("set statement_timeout = '1500 ms'").expect("set");
    let refused = refusal(pull().try_run(&mut stage));
    let ended = Instant::now();
    assert_eq!(refused.code().code(), "57014");
    assert_stopped_and_resumable(&lab, ended);
}

#[test]
fn a_caller_who_wants_one_row_gets_it_at_once_and_stops_the_run() {
    let lab = slow_lab();
    let rows = lab.stage().query(&format!("select {} limit 1", pull().call()), &[]);
    let ended = Instant::now();
    assert_eq!(rows.expect("a row").len(), 1);
    assert_stopped_and_resumable(&lab, ended);
}

#[test]
fn a_client_that_vanishes_stops_the_run() {
    let lab = slow_lab();
    let mut client = RawClient::connect(&lab);
    client.send(&format!("select {}", pull().call()));
    client.read_until(b'D');
    let ended = Instant::now();
    drop(client);
    assert_stopped_and_resumable(&lab, ended);
}

#[test]
fn a_client_that_vanishes_from_a_materialised_call_stops_the_run() {
    let lab = slow_lab();
    let mut client = RawClient::connect(&lab);
    client.send(&format!("select * from {}", pull().call()));
    await_that("a batch is committed", Duration::from_secs(20), || lab.committed_batches() > 0);
    let ended = Instant::now();
    drop(client);
    assert_stopped_and_resumable(&lab, ended);
}

#[test]
fn an_exception_block_that_catches_a_cancel_by_timeout_leaves_nothing_running() {
    let lab = slow_lab();
    let mut stage = lab.stage();
    stage.batch_execute("set statement_timeout = '1500 ms'").expect("set");
    let call = pull().call();
    let block = format!(
        "do $$ begin perform * from {call}; exception when query_canceled then null; end $$"
    );
    stage.batch_execute(&block).expect("the exception is caught");
    assert_stopped_and_resumable(&lab, Instant::now());
}

#[test]
fn a_source_that_accepts_connections_and_says_nothing_can_be_given_up() {
    let lab = Lab::with(&Rows::of(10));
    let silence = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silence.local_addr().expect("its address").port();
    lab.on_stage(&format!(
        "alter server lrs_source options (set host '127.0.0.1', set port '{port}', add connect_timeout '60')"
    ));
    let running = lab.start(&pull());
    let (connection, _) = silence.accept().expect("the run connects");
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    lab.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
    drop(connection);
}

#[test]
fn a_run_that_waits_for_a_lock_on_the_target_can_be_cancelled() {
    let lab = slow_lab();
    let running = lab.start_and_await_a_batch(&pull());
    let mut blocker = lab.stage();
    let mut transaction = blocker.transaction().expect("begin");
    transaction
        .batch_execute("lock table pipeline.aidt_raw in access exclusive mode")
        .expect("lock");
    await_that("a worker waits for the lock", Duration::from_secs(10), || {
        lab.stage_value(
            "select count(*) from pg_locks l join pg_stat_activity a using (pid)
             where not l.granted and a.backend_type = 'lrs_extract worker'
               and a.datname = current_database()",
        ) != "0"
    });
    let ended = Instant::now();
    lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
    lab.assert_nothing_left_running();
    assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
}

#[test]
fn the_first_row_reaches_the_caller_long_before_the_last_batch() {
    let lab = slow_lab();
    let mut client = RawClient::connect(&lab);
    client.send(&format!("select {}", pull().call()));
    client.read_until(b'D');
    assert!(lab.committed_batches() < 50, "{} batches already", lab.committed_batches());
}

#[test]
fn the_function_cancel_stops_a_run_whose_caller_does_not_fetch() {
    let lab = slow_lab();
    let mut stage = lab.stage();
    let call = pull().call();
    stage
        .batch_execute(&format!("begin; declare c cursor for select {call}; fetch 1 from c"))
        .expect("a first batch");
    let told = lab.stage_value("select lrs_extract.cancel(max(run_id)) from lrs_extract.run");
    assert_eq!(told, "true");
    await_that("the run is marked", Duration::from_secs(5), || lab.last_run_state() == "cancelled");
    lab.assert_nothing_left_running();
    let refused = refusal(stage.simple_query("fetch all from c"));
    assert_eq!(refused.code().code(), "57014");
    stage.batch_execute("rollback").expect("rollback");
    lab.quick_target();
    lab.pull_all();
    lab.assert_all_rows();
}
