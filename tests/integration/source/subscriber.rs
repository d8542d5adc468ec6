//! A subscriber of logical replication as the source: what it has not applied has not settled.

use std::thread::sleep;
use std::time::Duration;

use crate::fixture::{Fixture, Pair, Pull, Server, ServerPlan, Version, await_that};

/// A fixture whose source is filled by the publisher that comes with it.
fn subscribed() -> (Fixture, Server) {
    let publisher = ServerPlan::of(Version::source()).setting("wal_level = logical").start();
    publisher.connect("postgres").batch_execute("create role reader").expect("the reader");
    publisher.create_database("published", include_str!("../fixture/sql/source_table.sql"));
    let pair = Pair { source: Pair::own().source, stage: Pair::shared().stage };
    let fixture = Fixture::bare(pair);
    fixture.connect_stage_to_source("");
    fixture.on_stage("update lrs_extract.pipeline set settle = '0'");
    let later = "create table acid.lrs_statement_later partition of acid.lrs_statement_new
                     for values from ('2026-01-01') to ('2100-01-01')";
    on(&publisher, &format!("{later}; create publication everything for all tables"));
    fixture.on_source(later);
    fixture.on_source(&format!(
        "create subscription everything
         connection 'host={} port={} dbname=published user=postgres' publication everything",
        publisher.home().display(),
        publisher.port()
    ));
    await_that("the first copy is complete", Duration::from_secs(30), || {
        fixture.source_value("select count(*) from pg_subscription_rel where srsubstate <> 'r'")
            == "0"
    });
    (fixture, publisher)
}

fn on(publisher: &Server, sql: &str) {
    publisher.connect("published").batch_execute(sql).expect("the publisher does it");
}

/// Rows of a time that comes when their transaction has ended: what commits late is `settle`'s matter.
fn publish(publisher: &Server, rows: u32) {
    on(
        publisher,
        &format!(
            "insert into acid.lrs_statement_new
             select clock_timestamp() + interval '1 second', acid.statement(nextval('acid.serial'), false), 1
             from generate_series(1, {rows})"
        ),
    );
}

/// Returns when the subscriber has so many rows, and knows of a time past theirs.
fn await_applied(fixture: &Fixture, publisher: &Server, rows: u32) {
    await_that("the rows are applied", Duration::from_secs(30), || {
        on(publisher, "select pg_logical_emit_message(false, 'test', 'a sign of life')");
        fixture.source_value(&format!(
            "select count(*) = {rows} and max(\"timestamp\") <
                    (select min(latest_end_time) from pg_stat_subscription where relid is null)
             from acid.lrs_statement_new"
        )) == "true"
    });
}

fn pull(fixture: &Fixture) -> i64 {
    Pull::around_now("-2 hours", "2 hours").run(&mut fixture.stage()).rows
}

#[test]
fn what_a_subscriber_has_not_applied_yet_comes_with_a_later_call() {
    let (fixture, publisher) = subscribed();
    publish(&publisher, 30);
    await_applied(&fixture, &publisher, 30);
    assert_eq!(pull(&fixture), 30);
    // What comes from now on waits for a lock on the subscriber; who reads does not.
    let mut blocker = fixture.source();
    let mut transaction = blocker.transaction().expect("begin");
    transaction
        .batch_execute("lock table acid.lrs_statement_later in exclusive mode")
        .expect("lock");
    publish(&publisher, 20);
    await_that("the apply worker waits", Duration::from_secs(20), || {
        fixture.source_value("select count(*) from pg_locks where not granted") != "0"
    });
    sleep(Duration::from_millis(1_500));
    let (mut stage, notices) = fixture.stage_with_notices();
    Pull::around_now("-2 hours", "2 hours").run(&mut stage);
    assert!(notices.all().iter().any(|n| n.contains("subscriber")), "{:?}", notices.all());
    transaction.commit().expect("the lock is released");
    await_applied(&fixture, &publisher, 50);
    assert_eq!(pull(&fixture), 20, "the rest");
}

#[test]
fn a_subscription_that_nobody_works_at_is_told() {
    let (fixture, _publisher) = subscribed();
    fixture.on_source("alter subscription everything disable");
    await_that("the apply worker is gone", Duration::from_secs(20), || {
        fixture.source_value("select count(pid) from pg_stat_subscription") == "0"
    });
    let (mut stage, notices) = fixture.stage_with_notices();
    for call in ["plan", "verify"] {
        let sql = format!("select * from lrs_extract.{call}('2025-03-01', '2025-08-01')");
        stage.query(&sql, &[]).expect("a plan");
    }
    let said = notices.all();
    let told =
        said.iter().filter(|n| n.starts_with("WARNING") && n.contains("logical replication"));
    assert_eq!(told.count(), 2, "{said:?}");
}
