//! `verify` beside trouble: it asks the source for less, tries again, ends when it is told to, and
//! does what the caller may do.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::error::DbError;
use postgres::{Client, Error};

use crate::fixture::{Fixture, READER_PASSWORD, RawClient, Rows, await_that, refusal, whole_text};

const CALL: &str = "lrs_extract.verify('2025-03-01', '2025-08-01')";

/// From the caller's end to the last statement's on either server.
const STOPS_WITHIN: Duration = Duration::from_secs(1);

/// How many rows a session finds in source, target and rejects, and whether all is ok.
fn verified(session: &mut Client) -> Result<String, Error> {
    let sql = format!(
        "select format('%s %s %s %s', sum(source_rows), sum(target_rows), sum(rejected_rows), bool_and(ok))
         from {CALL}"
    );
    Ok(session.query_one(&sql, &[])?.get(0))
}

/// A verification in a thread of its own.
struct Underway {
    pid: i32,
    ended: JoinHandle<Result<String, Error>>,
}

fn start(fixture: &Fixture) -> Underway {
    let mut session = fixture.stage();
    let pid = session.query_one("select pg_backend_pid()", &[]).expect("a pid").get(0);
    Underway { pid, ended: thread::spawn(move || verified(&mut session)) }
}

impl Underway {
    fn result(self) -> Result<String, Error> {
        await_that("the call returns", Duration::from_secs(30), || self.ended.is_finished());
        self.ended.join().expect("the thread of the call")
    }
}

#[test]
fn a_slice_that_meets_the_statement_timeout_is_counted_in_parts() {
    let fixture = Fixture::with(&Rows::of(300).nulls_every(3).between("2025-04-01", "2025-04-08"));
    fixture.pull_all();
    fixture.slow_source("0.005");
    // All in one count would take a second and a half.
    fixture.on_stage("alter server lrs_source options (add statement_timeout '600ms')");
    let (mut stage, notices) = fixture.stage_with_notices();
    assert_eq!(verified(&mut stage).expect("verified"), "300 300 0 t");
    let said = notices.all();
    assert!(said.iter().any(|notice| notice.contains("halved")), "{said:#?}");
}

#[test]
fn a_count_that_no_range_brings_under_the_timeout_ends_in_words() {
    let fixture = Fixture::with(&Rows::of(1));
    fixture.slow_source("30");
    fixture.on_stage(
        "alter server lrs_source options (add statement_timeout '50ms');
         update lrs_extract.pipeline set retries = 2, retry_delay = '10 ms'",
    );
    let refused = refusal(start(&fixture).result());
    assert_eq!(refused.code().code(), "57014");
    let words = whole_text(&refused);
    assert!(words.contains("statement_timeout") && words.contains("lrs_statement_2025"), "{words}");
}

#[test]
fn a_source_that_is_out_of_slots_in_the_middle_is_asked_again() {
    let fixture = Fixture::with(&Rows::of(100));
    fixture.slow_source("0.02");
    fixture.turn_the_reader_away();
    let role = format!("{}_reader", fixture.db);
    fixture.on_source(&format!("alter role {role} connection limit -1"));
    let underway = start(&fixture);
    await_that("the source counts", Duration::from_secs(20), || {
        fixture.source_value(&format!(
            "select count(*) from pg_stat_activity where usename = '{role}' and wait_event = 'PgSleep'"
        )) != "0"
    });
    fixture.on_source(&format!("alter role {role} connection limit 0"));
    fixture.on_source(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
    ));
    fixture.let_the_reader_in_after_a_refusal();
    assert_eq!(underway.result().expect("verified"), "100 0 0 f");
}

#[test]
fn a_source_that_is_out_of_slots_at_the_first_try_is_told_at_once() {
    let fixture = Fixture::with(&Rows::of(10));
    fixture.turn_the_reader_away();
    let refused = refusal(start(&fixture).result());
    assert_eq!(refused.code().code(), "53300");
    assert!(refused.hint().is_some(), "{}", whole_text(&refused));
}

#[test]
fn a_pause_holds_the_counting_back_and_its_end_lets_it_go_on() {
    let fixture = Fixture::with(&Rows::of(200));
    fixture.pull_all();
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select true'");
    let (mut session, notices) = fixture.stage_with_notices();
    let underway = thread::spawn(move || verified(&mut session));
    await_that("it says that it waits", Duration::from_secs(20), || {
        notices.all().iter().any(|notice| notice.contains("pause_while"))
    });
    assert!(!underway.is_finished());
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select false'");
    await_that("the call returns", Duration::from_secs(20), || underway.is_finished());
    let found = underway.join().expect("the thread of the call");
    assert_eq!(found.expect("verified"), "200 200 0 t");
    let waits = notices.all().iter().filter(|notice| notice.contains("pause_while")).count();
    assert_eq!(waits, 1, "told once");
}

#[test]
fn a_session_that_is_lost_on_the_way_is_opened_again() {
    let fixture = Fixture::with(&Rows::of(200).between("2025-04-01", "2025-06-01"));
    fixture.pull_all();
    fixture.slow_source("0.02");
    let underway = start(&fixture);
    await_that("the source counts", Duration::from_secs(20), || source_sleeps(&fixture));
    fixture.on_source(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'lrs_extract verify' and datname = current_database()",
    );
    assert_eq!(underway.result().expect("verified"), "200 200 0 t");
}

const SLEEPS: &str = "select count(*) from pg_stat_activity
    where wait_event = 'PgSleep' and datname = current_database()";

fn source_sleeps(fixture: &Fixture) -> bool {
    fixture.source_value(SLEEPS) != "0"
}

/// A fixture whose source takes half a minute for a row.
fn fixture_of_slow_source() -> Fixture {
    let fixture = Fixture::with(&Rows::of(50));
    fixture.slow_source("30");
    fixture
}

/// A fixture whose target takes half a minute for a row.
fn fixture_of_slow_target() -> Fixture {
    let fixture = Fixture::with(&Rows::of(50));
    fixture.pull_all();
    fixture.on_stage(
        "create function pipeline.dawdle() returns boolean language plpgsql volatile as
             $$ begin perform pg_sleep(30); return true; end $$;
         alter table pipeline.aidt_raw rename to kept;
         create view pipeline.aidt_raw as select * from pipeline.kept where pipeline.dawdle()",
    );
    fixture
}

/// Waits until one of the servers is in the middle of a row.
fn await_sleep(fixture: &Fixture) {
    await_that("a server counts", Duration::from_secs(20), || {
        source_sleeps(fixture) || fixture.stage_value(SLEEPS) != "0"
    });
}

fn assert_both_quiet(fixture: &Fixture, ended: Instant) {
    await_that("both servers are quiet", Duration::from_secs(30), || {
        !source_sleeps(fixture) && fixture.stage_value(SLEEPS) == "0"
    });
    let took = ended.elapsed();
    assert!(took < STOPS_WITHIN, "stopped only after {took:?}");
    fixture.assert_nothing_left_running();
}

/// Whatever `stop` does to the backend of a verification ends it on both servers.
fn assert_stops(stop: impl Fn(&Fixture, i32)) {
    for fixture in [fixture_of_slow_source(), fixture_of_slow_target()] {
        let underway = start(&fixture);
        await_sleep(&fixture);
        let ended = Instant::now();
        stop(&fixture, underway.pid);
        assert!(underway.result().is_err());
        assert_both_quiet(&fixture, ended);
    }
}

#[test]
fn a_cancel_ends_it_on_both_servers() {
    assert_stops(|fixture, pid| fixture.on_stage(&format!("select pg_cancel_backend({pid})")));
}

#[test]
fn a_terminate_ends_it_on_both_servers() {
    assert_stops(|fixture, pid| fixture.on_stage(&format!("select pg_terminate_backend({pid})")));
}

#[test]
fn the_callers_statement_timeout_ends_it_on_both_servers() {
    for fixture in [fixture_of_slow_source(), fixture_of_slow_target()] {
        let mut stage = fixture.stage();
        stage.batch_execute("set statement_timeout = '1s'").expect("set");
        let ended = Instant::now() + Duration::from_secs(1);
        let refused = refusal(verified(&mut stage));
        assert_eq!(refused.code().code(), "57014");
        assert_both_quiet(&fixture, ended);
    }
}

#[test]
fn a_client_that_vanishes_ends_it_on_both_servers() {
    for fixture in [fixture_of_slow_source(), fixture_of_slow_target()] {
        let mut client = RawClient::connect(&fixture);
        client.send(&format!("select {CALL}"));
        await_sleep(&fixture);
        let ended = Instant::now();
        drop(client);
        assert_both_quiet(&fixture, ended);
    }
}

#[test]
fn a_caller_who_is_content_with_one_slice_gets_it_at_once() {
    let fixture = Fixture::with(&Rows::of(50).between("2025-07-01", "2025-08-01"));
    fixture.slow_source("30");
    let rows = fixture.stage().query(&format!("select {CALL} limit 3"), &[]).expect("March");
    assert_eq!(rows.len(), 3);
    fixture.assert_nothing_left_running();
}

/// A session of a role that may verify, and has `grants` besides.
fn analyst(fixture: &Fixture, grants: &str) -> Client {
    let role = format!("{}_analyst", fixture.db);
    fixture.on_stage(&format!(
        "create role {role} login password 'x'; grant usage on schema lrs_extract, pipeline to {role};
         grant usage on foreign server lrs_source to {role};
         create user mapping for {role} server lrs_source
             options (user 'reader', password '{READER_PASSWORD}');
         {}",
        grants.replace("ROLE", &role)
    ));
    fixture.stage_as(&role, "x")
}

const MAY_CALL: &str = "grant execute on function lrs_extract.verify(timestamptz, timestamptz, text, text, int, int) to ROLE;";
const MAY_SELECT: &str = "grant select on pipeline.aidt_raw to ROLE;";

fn pulled_fixture() -> Fixture {
    let fixture = Fixture::with(&Rows::of(400).odd_ids_every(100));
    fixture.pull_all();
    fixture
}

#[test]
fn a_role_that_may_call_it_and_read_the_target_needs_nothing_else() {
    let fixture = pulled_fixture();
    let mut session = analyst(&fixture, &format!("{MAY_CALL} {MAY_SELECT}"));
    assert_eq!(verified(&mut session).expect("verified"), "400 396 4 t");
}

fn denied(grants: &str) -> DbError {
    let fixture = pulled_fixture();
    refusal(verified(&mut analyst(&fixture, grants)))
}

#[test]
fn a_role_that_may_not_call_it_or_not_read_the_target_is_refused() {
    for (grants, named) in [(MAY_SELECT, "verify"), (MAY_CALL, "aidt_raw")] {
        let refused = denied(grants);
        assert_eq!(refused.code().code(), "42501");
        assert!(refused.message().contains(named), "{}", whole_text(&refused));
    }
}

#[test]
fn row_level_security_of_the_target_holds_for_the_role() {
    let fixture = pulled_fixture();
    let mut session = analyst(&fixture, &format!("{MAY_CALL} {MAY_SELECT}"));
    fixture.on_stage("alter table pipeline.aidt_raw enable row level security");
    assert_eq!(verified(&mut session).expect("verified"), "400 0 4 f");
}

#[test]
fn a_function_or_operator_in_the_callers_search_path_is_not_called() {
    let fixture = pulled_fixture();
    let mut session = analyst(&fixture, &format!("{MAY_CALL} {MAY_SELECT}"));
    fixture.on_stage(&format!("create schema trap authorization {}_analyst", fixture.db));
    session
        .batch_execute(
            "create function trap.count(text) returns bigint language plpgsql as
                 $$ begin raise exception 'trapped as %', current_user; end $$;
             create function trap.md5(text) returns text language plpgsql as
                 $$ begin raise exception 'trapped as %', current_user; end $$;
             create function trap.compare(timestamptz, timestamptz) returns boolean language plpgsql as
                 $$ begin raise exception 'trapped as %', current_user; end $$;
             create operator trap.>= (function = trap.compare, leftarg = timestamptz, rightarg = timestamptz);
             create operator trap.< (function = trap.compare, leftarg = timestamptz, rightarg = timestamptz);
             create function trap.join(text, text) returns text language plpgsql as
                 $$ begin raise exception 'trapped as %', current_user; end $$;
             create operator trap.|| (function = trap.join, leftarg = text, rightarg = text);
             set search_path = trap, pg_catalog",
        )
        .expect("the trap");
    let sql =
        "select bool_and(ok) from lrs_extract.verify('2025-03-01', '2025-08-01', level => 'hash')";
    assert!(session.query_one(sql, &[]).expect("verified").get::<_, bool>(0));
}
