//! A hot standby as the source: what it has not replayed yet is not taken for absent, and what its
//! recovery ends is tried again.

use std::time::Duration;

use postgres::Client;

use crate::fixture::{Fixture, Notices, Pair, Pull, Rows, Running, Server, await_that};

/// The partition for our days.
const FROM: &str = "2026-01-01";
const TO: &str = "2100-01-01";

/// A fixture that reads a standby of its source, with nothing held back by `settle`, and no row yet of
/// our days. `settings` are the standby's.
fn fixture_on_a_standby(settings: &str) -> (Fixture, Server) {
    let fixture = fixture_before_its_standby();
    let standby = standby_of(&fixture, settings);
    (fixture, standby)
}

pub fn fixture_before_its_standby() -> Fixture {
    let fixture = Fixture::on(Pair::own(), &Rows::of(0));
    fixture.on_source(&format!(
        "create table acid.lrs_statement_later partition of acid.lrs_statement_new
             for values from ('{FROM}') to ('{TO}')"
    ));
    fixture.on_stage("update lrs_extract.pipeline set settle = interval '0'");
    fixture
}

fn standby_of(fixture: &Fixture, settings: &str) -> Server {
    let standby = fixture.pair.source.standby(settings);
    fixture.read_from(&standby);
    standby
}

/// The reader sees what the standby's receiver says.
fn let_the_reader_see_the_receiver(fixture: &Fixture) {
    fixture.on_source("grant pg_read_all_stats to reader");
}

/// So many rows of this moment, on the primary, in one transaction.
pub fn insert_fresh(fixture: &Fixture, rows: u32) {
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new
         select now(), acid.statement(nextval('acid.serial'), false), n from generate_series(1, {rows}) n"
    ));
}

fn on(server: &Server, sql: &str) {
    server.connect("postgres").batch_execute(sql).expect(sql);
}

fn value(server: &Server, sql: &str) -> String {
    let row = server.connect("postgres").query_one(&format!("select ({sql})::text"), &[]);
    row.expect(sql).get::<_, Option<String>>(0).unwrap_or_default()
}

fn hours_around_now() -> Pull {
    Pull::around_now("-2 hours", "2 hours")
}

fn pull_fresh(fixture: &Fixture) -> i64 {
    hours_around_now().run(&mut fixture.stage()).rows
}

fn assert_fresh_rows_are_equal(fixture: &Fixture) {
    fixture.assert_same_rows(FROM, TO);
}

/// Pulls while something holds the replay back, and again when it goes on.
fn assert_comes_later(fixture: &Fixture, standby: &Server, hold: impl Fn(), release: impl Fn()) {
    insert_fresh(fixture, 30);
    standby.await_replay_of(&fixture.pair.source);
    hold();
    insert_fresh(fixture, 20);
    assert_eq!(pull_fresh(fixture), 30, "only what is replayed");
    release();
    standby.await_replay_of(&fixture.pair.source);
    assert_eq!(pull_fresh(fixture), 20, "the rest");
    assert_fresh_rows_are_equal(fixture);
}

pub fn pause(standby: &Server) {
    on(standby, "select pg_wal_replay_pause()");
}

pub fn resume(standby: &Server) {
    on(standby, "select pg_wal_replay_resume()");
}

#[test]
fn rows_that_were_not_replayed_yet_come_with_a_later_call() {
    let (fixture, standby) = fixture_on_a_standby("");
    assert_comes_later(&fixture, &standby, || pause(&standby), || resume(&standby));
}

#[test]
fn a_receiver_that_is_ahead_of_the_replay_settles_nothing() {
    let (fixture, standby) = fixture_on_a_standby("");
    let_the_reader_see_the_receiver(&fixture);
    assert_comes_later(&fixture, &standby, || pause(&standby), || resume(&standby));
}

#[test]
fn a_standby_that_replays_with_a_delay_settles_as_late() {
    let (fixture, standby) = fixture_on_a_standby("");
    let_the_reader_see_the_receiver(&fixture);
    let delay = || standby.set("recovery_min_apply_delay = '3s'");
    assert_comes_later(&fixture, &standby, delay, || {});
}

#[test]
fn a_receiver_that_cannot_connect_settles_nothing() {
    let (fixture, standby) = fixture_on_a_standby("wal_retrieve_retry_interval = '50ms'");
    let_the_reader_see_the_receiver(&fixture);
    let way = value(&standby, "quote_literal(current_setting('primary_conninfo'))");
    let cut = || {
        standby.set("primary_conninfo = 'host=/nowhere'");
        await_that("the receiver is gone", Duration::from_secs(10), || {
            value(&standby, "select count(*) from pg_stat_wal_receiver") == "0"
        });
    };
    let mend = || standby.set(&format!("primary_conninfo = {way}"));
    assert_comes_later(&fixture, &standby, cut, mend);
}

/// What the product asks, on the standby; true where it goes beyond `committed`.
fn is_beyond(standby: &Server, committed: &str) -> impl FnMut() -> bool {
    let sql = format!(
        "select seen_micros > extract(epoch from timestamptz '{committed}') * 1000000 from ({}) clock",
        include_str!("../../../sql/source/clock.sql")
    );
    let mut client = standby.connect("postgres");
    move || client.query_one(&sql, &[]).expect("the clock").get(0)
}

#[test]
fn a_receiver_that_starts_again_and_again_in_vain_settles_nothing() {
    let (fixture, standby) = fixture_on_a_standby("wal_retrieve_retry_interval = '10ms'");
    let way = value(&standby, "quote_literal(current_setting('primary_conninfo'))");
    insert_fresh(&fixture, 1);
    standby.await_replay_of(&fixture.pair.source);
    let committed = value(&standby, "pg_last_xact_replay_timestamp()");
    standby.set("primary_conninfo = 'host=/nowhere'");
    // What the standby needs next is thrown away meanwhile.
    for _ in 0..3 {
        insert_fresh(&fixture, 1);
        on(&fixture.pair.source, "select pg_switch_wal()");
        on(&fixture.pair.source, "checkpoint");
    }
    standby.set(&format!("primary_conninfo = {way}"));
    // Before its first message a receiver shows the standby's own clock for the sender's.
    let mut probe = standby.connect("postgres");
    let shows_its_own_clock = "select exists (select from pg_stat_wal_receiver
         where last_msg_send_time = last_msg_receipt_time and status = 'streaming')";
    let mut beyond = is_beyond(&standby, &committed);
    let mut seen = 0;
    await_that("receivers come and go", Duration::from_secs(20), || {
        for _ in 0..500 {
            assert!(!beyond(), "the clock went on without the rows");
            seen += i32::from(probe.query_one(shows_its_own_clock, &[]).unwrap().get::<_, bool>(0));
        }
        seen >= 3
    });
}

/// A row that will have been written a moment before its time comes, as the last one of all.
fn insert_the_last_row(fixture: &Fixture) {
    fixture.on_source(
        "insert into acid.lrs_statement_new
         select clock_timestamp() + interval '500 ms', acid.statement(nextval('acid.serial'), false), 1",
    );
}

#[test]
fn an_idle_primary_does_not_hold_the_period_back_where_the_receiver_can_be_seen() {
    // The receiver asks for a sign of life after half of this time.
    let (fixture, _standby) = fixture_on_a_standby("wal_receiver_timeout = '1s'");
    let_the_reader_see_the_receiver(&fixture);
    insert_the_last_row(&fixture);
    await_that("the row has settled", Duration::from_secs(10), || pull_fresh(&fixture) == 1);
    assert_fresh_rows_are_equal(&fixture);
}

#[test]
fn an_idle_primary_holds_the_period_back_where_the_receiver_cannot_be_seen() {
    let (fixture, standby) = fixture_on_a_standby("wal_receiver_timeout = '1s'");
    insert_the_last_row(&fixture);
    let time = fixture.source_value("select max(\"timestamp\") from acid.lrs_statement_new");
    await_that("the sender said something after its time", Duration::from_secs(10), || {
        let later = format!("select last_msg_send_time > '{time}' from pg_stat_wal_receiver");
        value(&standby, &later) == "true"
    });
    assert_eq!(pull_fresh(&fixture), 0);
    fixture.on_source("create table acid.sign_of_life ()");
    standby.await_replay_of(&fixture.pair.source);
    assert_eq!(pull_fresh(&fixture), 1);
}

/// The newest slice of a verification, as text, from the session of a cursor that has read the rest.
fn last_slice(stage: &mut Client) -> String {
    let rows = stage.query("fetch all from slices", &[]).expect("the slices");
    rows.last().expect("a slice").get(0)
}

/// A session with a cursor over the slices of this year, none of them compared yet.
fn verification(fixture: &Fixture) -> (Client, Notices) {
    let (mut stage, notices) = fixture.stage_with_notices();
    let declare = format!(
        "begin;
         declare slices cursor for
             select lrs_extract.verify('{FROM}', now() + interval '2 hours', level => 'hash')::text"
    );
    stage.batch_execute(&declare).expect("a cursor");
    (stage, notices)
}

fn verified(fixture: &Fixture) -> String {
    last_slice(&mut verification(fixture).0)
}

#[test]
fn a_verification_compares_only_what_is_replayed() {
    let (fixture, standby) = fixture_on_a_standby("");
    insert_fresh(&fixture, 30);
    standby.await_replay_of(&fixture.pair.source);
    pause(&standby);
    insert_fresh(&fixture, 20);
    fixture.read_from(&fixture.pair.source);
    assert_eq!(pull_fresh(&fixture), 50);
    fixture.read_from(&standby);
    assert!(verified(&fixture).ends_with(",30,30,0,t,,,)"), "{}", verified(&fixture));
    resume(&standby);
    standby.await_replay_of(&fixture.pair.source);
    assert!(verified(&fixture).ends_with(",50,50,0,t,,,)"), "{}", verified(&fixture));
}

/// The notice of a pull that says so.
fn notice_of_clipping(fixture: &Fixture) -> String {
    let (mut stage, notices) = fixture.stage_with_notices();
    hours_around_now().run(&mut stage);
    let said = notices.all();
    let about = said.iter().find(|notice| notice.contains("standby"));
    about.unwrap_or_else(|| panic!("a word about the standby among {said:#?}")).clone()
}

#[test]
fn a_standby_that_has_replayed_no_transaction_settles_nothing_and_says_so() {
    let fixture = fixture_before_its_standby();
    insert_fresh(&fixture, 5);
    let standby = standby_of(&fixture, "");
    assert_eq!(value(&standby, "pg_last_xact_replay_timestamp()"), "");
    let said = notice_of_clipping(&fixture);
    assert!(said.contains("no transaction") && said.contains("primary"), "{said}");
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.slice"), "0");
    insert_fresh(&fixture, 3);
    standby.await_replay_of(&fixture.pair.source);
    assert_eq!(pull_fresh(&fixture), 8);
}

#[test]
fn the_notice_of_a_clipped_period_says_how_far_the_standby_is_behind() {
    let (fixture, standby) = fixture_on_a_standby("");
    insert_fresh(&fixture, 5);
    standby.await_replay_of(&fixture.pair.source);
    let said = notice_of_clipping(&fixture);
    assert!(said.contains("s behind") && said.contains("settle"), "{said}");
}

/// A fixture with rows of the past whose source is a standby, read so slowly, so many seconds a row,
/// that every page can be hit.
fn fixture_with_slow_pages_on_a_standby(
    rows: i64,
    seconds_a_row: &str,
    settings: &str,
) -> (Fixture, Server) {
    let rows = Rows::of(rows).ties(3).actors_per_tie(2).nulls_every(4);
    let fixture = Fixture::on(Pair::own(), &rows);
    fixture.slow_source(seconds_a_row);
    fixture.on_source("create table acid.churn as select 1 n");
    let standby = standby_of(&fixture, settings);
    fixture.on_source("update acid.churn set n = n + 1");
    standby.await_replay_of(&fixture.pair.source);
    (fixture, standby)
}

/// Pulls while the primary does `trouble` again and again, until the standby has counted three
/// conflicts of a kind, or the run has come through between them; which it must by itself.
fn assert_survives_conflicts(kind: &str, settings: &str, trouble: &[&str]) {
    let (fixture, standby) = fixture_with_slow_pages_on_a_standby(600, "0.005", settings);
    let (session, notices) = fixture.stage_with_notices();
    let running = Running::by(session, &Pull::everything().batch(100));
    let mut source = fixture.source();
    let count =
        format!("select {kind} from pg_stat_database_conflicts where datname = '{}'", fixture.db);
    // From 15 on a backend may tell of its conflicts ten seconds later.
    await_that("the standby cancels for its recovery", Duration::from_secs(60), || {
        for sql in trouble {
            source.batch_execute(sql).expect(sql);
        }
        value(&standby, &count).parse::<i64>().unwrap() >= 3 || running.has_ended()
    });
    assert_eq!(running.pulled().rows, 600);
    fixture.assert_all_rows();
    let said = notices.all();
    assert!(
        said.iter().any(|n| n.contains("conflict with recovery") && n.contains("trying again")),
        "a word about the retry among {said:#?}"
    );
}

#[test]
fn rows_that_the_primary_vacuums_away_under_a_page_cost_a_retry() {
    assert_survives_conflicts(
        "confl_snapshot",
        "max_standby_streaming_delay = 0",
        &["update acid.churn set n = n + 1", "vacuum acid.churn", "select pg_sleep(0.2)"],
    );
}

#[test]
fn a_run_goes_on_when_its_standby_becomes_a_primary() {
    let (fixture, standby) = fixture_with_slow_pages_on_a_standby(6_000, "0.001", "");
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    fixture.pair.source.kill();
    on(&standby, "select pg_promote()");
    assert!(!running.has_ended(), "the promotion came in the middle");
    assert_eq!(running.pulled().rows, 6_000);
    fixture.pair.source.start_again();
    fixture.assert_all_rows();
}

#[test]
fn a_run_goes_on_when_its_standby_restarts() {
    let (fixture, standby) = fixture_with_slow_pages_on_a_standby(6_000, "0.001", "");
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    standby.restart_immediately();
    assert!(!running.has_ended(), "the restart came in the middle");
    assert_eq!(running.pulled().rows, 6_000);
    fixture.assert_all_rows();
}

/// A fixture with a standby that shows 2,000 fresh rows, and would open with half of them after a crash.
/// Each row takes the source so many seconds.
fn fixture_on_a_forgetful_standby(seconds_a_row: &str) -> (Fixture, Server) {
    let fixture = fixture_before_its_standby();
    fixture.slow_source(seconds_a_row);
    insert_fresh(&fixture, 1_000);
    // What it had not written down, a standby replays once more after a crash, and opens before.
    let standby = standby_of(&fixture, "checkpoint_timeout = '1h'\nbgwriter_lru_maxpages = 0");
    insert_fresh(&fixture, 1_000);
    standby.await_replay_of(&fixture.pair.source);
    (fixture, standby)
}

/// Crashes the standby, which then holds back what was committed less than `delay` ago.
fn send_back_in_time(fixture: &Fixture, standby: &Server, delay: &str) {
    standby.set(&format!("recovery_min_apply_delay = '{delay}'"));
    standby.restart_immediately();
    let shown = "select count(*) from acid.lrs_statement_later";
    let shown = standby.connect(&fixture.db).query_one(shown, &[]).unwrap().get::<_, i64>(0);
    assert_eq!(shown, 1_000, "the standby has gone back in time");
}

#[test]
fn a_standby_that_comes_back_with_less_than_it_showed_is_waited_for() {
    // The reader does not run far ahead of the first batch.
    let (fixture, standby) = fixture_on_a_forgetful_standby("0.002");
    let (session, notices) = fixture.stage_with_notices();
    let running = Running::by(session, &hours_around_now().batch(100).jobs(1));
    fixture.await_another_batch();
    send_back_in_time(&fixture, &standby, "8s");
    assert_eq!(running.pulled().rows, 2_000);
    assert_fresh_rows_are_equal(&fixture);
    let said = notices.all();
    assert!(said.iter().any(|n| n.contains("this run needs")), "the wait among {said:#?}");
}

#[test]
fn a_verification_waits_for_a_standby_that_comes_back_with_less_than_it_showed() {
    let (fixture, standby) = fixture_on_a_forgetful_standby("0");
    fixture.on_stage("update lrs_extract.pipeline set retry_delay = '100 ms'");
    assert_eq!(pull_fresh(&fixture), 2_000);
    let (mut stage, notices) = verification(&fixture);
    let first = stage.query("fetch 1 from slices", &[]).expect("a slice");
    assert!(first[0].get::<_, String>(0).ends_with(",0,0,0,t,,,)"), "of January");
    send_back_in_time(&fixture, &standby, "8s");
    assert!(last_slice(&mut stage).ends_with(",2000,2000,0,t,,,)"));
    let said = notices.all();
    assert!(said.iter().any(|n| n.contains("this run needs")), "the wait among {said:#?}");
}
