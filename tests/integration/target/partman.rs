//! Targets that pg_partman partitions: natively, which every version of it does, and by triggers and
//! inheritance, which those before 5 do too.

use crate::fixture::{Fixture, Pair, Pull, Repair, Rows, await_that, dedup, skip};
use std::time::Duration;

const ROWS: i64 = 3_000;

/// A fixture whose target has a partition a month, or `None` and a word about it where this PostgreSQL
/// has no pg_partman. `kind` is "native" or "partman"; months before `from` have no partition.
fn fixture_with(kind: &str, from: &str) -> Option<Fixture> {
    let known = "select max(split_part(default_version, '.', 1)::int4) from pg_available_extensions
                  where name = 'pg_partman'";
    let row = Pair::shared().stage.connect("postgres").query_one(known, &[]).expect("a version");
    let kind_and_interval = match (row.get::<_, Option<i32>>(0), kind) {
        (None, _) => {
            skip("this PostgreSQL has no pg_partman");
            return None;
        }
        (Some(5..), "native") => "'1 month'".to_owned(),
        (Some(5..), _) => {
            skip("this pg_partman makes no triggers");
            return None;
        }
        _ => format!("'{kind}', 'monthly'"),
    };
    let fixture = Fixture::with(&Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(5));
    let by_range = if kind == "native" { "partition by range (\"timestamp\")" } else { "" };
    fixture.on_stage(&format!(
        "create schema partman;
         create extension pg_partman schema partman;
         alter table pipeline.aidt_raw rename to template;
         create table pipeline.aidt_raw (like pipeline.template including defaults) {by_range};
         alter table pipeline.aidt_raw alter \"timestamp\" set not null;
         drop table pipeline.template;
         select partman.create_parent('pipeline.aidt_raw', 'timestamp', {kind_and_interval},
                                      p_start_partition := '{from}')"
    ));
    Some(fixture)
}

/// How many partitions hold rows, and how many rows are in none of a month.
fn spread(fixture: &Fixture) -> (String, String) {
    let partitions = "select count(distinct tableoid) from pipeline.aidt_raw
                       where tableoid::regclass::text ~ '_p[0-9_]+$'";
    let others = "select count(*) from pipeline.aidt_raw
                   where tableoid::regclass::text !~ '_p[0-9_]+$'";
    (fixture.stage_value(partitions), fixture.stage_value(others))
}

#[test]
fn native_partitions_take_each_row_once() {
    let Some(fixture) = fixture_with("native", "2025-03-01") else { return };
    let pulled = Pull::everything().batch(200).run(&mut fixture.stage());
    assert_eq!(pulled.rows, ROWS);
    fixture.assert_all_rows();
    assert_eq!(spread(&fixture), ("5".to_owned(), "0".to_owned()));
    fixture.assert_verified();
    Pull::everything().again().run(&mut fixture.stage());
    assert_eq!(dedup(&mut fixture.stage()), ROWS);
    fixture.on_stage(
        "delete from pipeline.aidt_raw where (\"statement\" ->> 'serial')::int8 % 10 = 1",
    );
    assert_eq!(Repair::by_hashes().run(&fixture).pulled, ROWS / 10);
    fixture.assert_all_rows();
    let blamed = "select count(*) from lrs_extract.bottleneck where advice ~* 'trigger'";
    assert_eq!(fixture.stage_value(blamed), "0");
}

#[test]
fn rows_that_maintenance_moves_out_of_the_default_partition_are_there_once() {
    // The months before have no partition: their rows go into the default one.
    let Some(fixture) = fixture_with("native", "2025-06-01") else { return };
    Pull::everything().batch(200).run(&mut fixture.stage());
    let (partitions, others) = spread(&fixture);
    assert_eq!(partitions, "2");
    assert_ne!(others, "0");
    // It commits after each batch, as no statement beside others may.
    fixture.on_stage("call partman.partition_data_proc('pipeline.aidt_raw')");
    fixture.on_stage("select partman.run_maintenance()");
    assert_eq!(spread(&fixture), ("5".to_owned(), "0".to_owned()));
    fixture.assert_verified();
    assert_eq!(Repair::by_hashes().run(&fixture).ranges, 0);
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, 0);
    fixture.assert_all_rows();
}

#[test]
fn maintenance_beside_a_pull_loses_and_doubles_nothing() {
    let Some(fixture) = fixture_with("native", "2025-06-01") else { return };
    fixture.slow_target(20);
    let run = fixture.start(&Pull::everything().batch(50));
    let mut rounds = 0;
    await_that("the run ends", Duration::from_secs(120), || {
        // Moves rows to partitions that it makes, while the pull adds some. It may fail at a lock that the
        // pull holds: then it comes again, as a job does.
        let moved = fixture.stage().batch_execute(
            "set deadlock_timeout = '50 ms';
             select partman.partition_data_time('pipeline.aidt_raw', 10, p_lock_wait := 0.2);
             select partman.run_maintenance()",
        );
        rounds += i32::from(moved.is_ok());
        run.has_ended()
    });
    assert_eq!(run.pulled().rows, ROWS);
    assert!(rounds > 0, "maintenance never came through");
    fixture.assert_all_rows();
    fixture.assert_verified();
}

#[test]
fn triggers_that_route_rows_lose_none_and_are_told_of() {
    let Some(fixture) = fixture_with("partman", "2025-03-01") else { return };
    let (mut stage, notices) = fixture.stage_with_notices();
    Pull::everything().batch(200).run(&mut stage);
    fixture.assert_all_rows();
    assert_eq!(spread(&fixture), ("5".to_owned(), "0".to_owned()));
    fixture.assert_verified();
    // The server reports no row for those that a trigger puts elsewhere.
    let said = notices.all();
    assert!(said.iter().any(|n| n.contains("put them elsewhere")), "{said:#?}");
    let advice = fixture.stage_value("select advice from lrs_extract.bottleneck");
    assert!(!advice.contains("Disable"), "{advice}");
    assert!(advice.contains("took 3000 of 3000 rows away, or put them elsewhere"), "{advice}");
}
