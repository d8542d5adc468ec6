//! What goes wrong on the source: the transient is retried, the permanent is said in words.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Pull, Rows, Running, await_that, refusal, whole_text};

#[test]
fn a_page_that_meets_the_statement_timeout_is_made_smaller() {
    let fixture = Fixture::with(&Rows::of(300).nulls_every(3).between("2025-04-01", "2025-04-08"));
    fixture.slow_source("0.005");
    fixture.on_stage("alter server lrs_source options (add statement_timeout '600ms')");
    // All in one page would take a second and a half.
    Pull::everything().batch(300).run(&mut fixture.stage());
    fixture.assert_all_rows();
}

#[test]
fn a_page_that_no_size_brings_under_the_timeout_ends_the_run_in_words() {
    let fixture = Fixture::with(&Rows::of(3));
    fixture.slow_source("30");
    fixture.on_stage(
        "alter server lrs_source options (add statement_timeout '200ms');
         update lrs_extract.pipeline set retries = 2, retry_delay = '10 ms'",
    );
    let refused = refusal(fixture.start(&Pull::everything()).result());
    assert!(whole_text(&refused).contains("statement_timeout"), "{}", whole_text(&refused));
    assert!(refused.hint().is_some(), "{}", whole_text(&refused));
    // The source's 57014 is nobody's cancel.
    assert_eq!(fixture.last_run_state(), "failed");
}

/// A fixture in which the source is busy with a page that takes half a minute, and the run.
fn fixture_in_a_slow_page(pull: &Pull) -> (Fixture, Running) {
    let fixture = Fixture::with(&Rows::of(50));
    fixture.slow_source("30");
    let running = fixture.start(pull);
    await_that("the source reads", Duration::from_secs(10), || {
        fixture.source_value(
            "select count(*) from pg_stat_activity
             where wait_event = 'PgSleep' and datname = current_database()",
        ) != "0"
    });
    (fixture, running)
}

#[test]
fn a_slow_page_ends_when_its_run_is_cancelled() {
    let (fixture, running) = fixture_in_a_slow_page(&Pull::everything());
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    fixture.assert_nothing_left_running();
}

#[test]
fn a_slow_page_ends_when_its_leader_is_terminated() {
    let (fixture, running) = fixture_in_a_slow_page(&Pull::everything());
    fixture.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
}

#[test]
fn a_slow_page_ends_when_its_worker_is_terminated() {
    let (fixture, running) = fixture_in_a_slow_page(&Pull::everything());
    fixture.on_stage(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where backend_type = 'lrs_extract worker' and datname = current_database()",
    );
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
}

#[test]
fn a_slow_page_in_the_callers_transaction_ends_when_the_caller_is_terminated() {
    let (fixture, running) = fixture_in_a_slow_page(&Pull::everything().commit("caller"));
    fixture.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
}

/// The words of a pull that the source's answer ends, and that no retry delays.
fn permanent_error(on_source: &str) -> String {
    let fixture = Fixture::with(&Rows::of(20));
    fixture.on_stage("update lrs_extract.pipeline set retries = 5, retry_delay = '30 s'");
    fixture.on_source(on_source);
    let refused = refusal(fixture.start(&Pull::everything()).result());
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    fixture.assert_nothing_left_running();
    whole_text(&refused)
}

#[test]
fn a_table_that_the_reader_may_not_read_is_named() {
    let words = permanent_error("revoke select on all tables in schema acid from reader");
    assert!(words.contains("42501") && words.contains("lrs_statement"), "{words}");
}

#[test]
fn a_schema_that_the_reader_may_not_use_is_named() {
    let words = permanent_error("revoke usage on schema acid from reader");
    assert!(words.contains("acid"), "{words}");
}

#[test]
fn a_table_that_is_not_there_is_named() {
    let words = permanent_error("drop table acid.lrs_statement_new");
    assert!(words.contains("lrs_statement_new"), "{words}");
}

#[test]
fn a_column_that_is_not_there_is_named() {
    let words =
        permanent_error("alter table acid.lrs_statement_new rename full_statement to statement");
    assert!(words.contains("full_statement"), "{words}");
}

#[test]
fn a_lock_on_the_source_is_waited_for_with_patience_and_retries() {
    let fixture = Fixture::with(&Rows::of(200));
    fixture.on_stage("alter server lrs_source options (add lock_timeout '100ms')");
    let mut blocker = fixture.source();
    let mut transaction = blocker.transaction().expect("begin");
    transaction
        .batch_execute("lock table acid.lrs_statement_2025_05 in access exclusive mode")
        .expect("lock");
    let running = fixture.start(&Pull::everything());
    await_that("the reader meets the lock", Duration::from_secs(20), || {
        let of_fixture = format!(" {} reader ", fixture.db);
        fixture
            .pair
            .source
            .log()
            .lines()
            .any(|line| line.contains(&of_fixture) && line.contains("lock timeout"))
    });
    transaction.commit().expect("the lock is released");
    assert_eq!(running.pulled().rows, 200);
    fixture.assert_all_rows();
}

#[test]
fn a_source_that_accepts_connections_and_says_nothing_is_given_up_as_no_connection() {
    let fixture = Fixture::with(&Rows::of(10));
    let silence = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silence.local_addr().expect("its address").port();
    fixture.on_stage(&format!(
        "alter server lrs_source options
             (set host '127.0.0.1', set port '{port}', add connect_timeout '1');
         update lrs_extract.pipeline set retries = 0"
    ));
    let begun = Instant::now();
    let refused = refusal(
        fixture.stage().query("select * from lrs_extract.plan('-infinity', 'infinity')", &[]),
    );
    assert_eq!(refused.code().code(), "08006");
    assert!(refused.message().contains("connect to the source"), "{}", whole_text(&refused));
    assert!(begun.elapsed() < Duration::from_secs(20), "given up after {:?}", begun.elapsed());
}

#[test]
fn a_source_that_is_out_of_slots_is_asked_again() {
    let fixture = Fixture::with(&Rows::of(200));
    fixture.turn_the_reader_away();
    let running = fixture.start(&Pull::everything());
    fixture.let_the_reader_in_after_a_refusal();
    assert_eq!(running.pulled().rows, 200);
}

#[test]
fn workers_without_a_connection_leave_their_slices_to_the_others() {
    let fixture = Fixture::with(&Rows::of(6_000));
    let guest = format!("{}_guest", fixture.db);
    // The survey, and then two of the four workers, find a connection.
    fixture.on_source(&format!(
        "create role {guest} login password 'correct horse' in role reader connection limit 2"
    ));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{guest}')"
    ));
    fixture.slow_target(30);
    let (mut stage, notices) = fixture.stage_with_notices();
    let began = std::time::Instant::now();
    let pulled = Pull::everything().batch(200).jobs(4).run(&mut stage);
    assert_eq!(pulled.rows, 6_000);
    assert!(began.elapsed() < Duration::from_secs(60), "only after {:?}", began.elapsed());
    fixture.assert_all_rows();
    assert_eq!(fixture.last_run_state(), "done");
    let told = notices.all();
    let left = told.iter().filter(|n| n.contains("this worker ends")).count();
    assert!((1..=3).contains(&left), "{told:?}");
    assert!(told.iter().any(|n| n.contains("too many connections for role")), "{told:?}");
}

#[test]
fn a_run_of_which_no_worker_has_a_connection_says_whose_limit_it_is() {
    let fixture = Fixture::with(&Rows::of(500));
    let guest = format!("{}_guest", fixture.db);
    fixture
        .on_source(&format!("create role {guest} login password 'correct horse' in role reader"));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{guest}');
         update lrs_extract.pipeline set retries = 1, retry_delay = '10 ms', pause_while = 'select true'"
    ));
    let running = fixture.start(&Pull::everything());
    await_that("the workers are paused", Duration::from_secs(30), || {
        fixture.stage_value("select count(*) from lrs_extract.workers where doing ~ 'paused'")
            == "2"
    });
    fixture.on_source(&format!("alter role {guest} connection limit 0"));
    fixture.on_source(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{guest}'"
    ));
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "53300", "{}", whole_text(&refused));
    let hint = refused.hint().unwrap_or_default();
    assert!(hint.contains("connection limit"), "{}", whole_text(&refused));
    fixture.assert_nothing_left_running();
}
