//! The settings survive `pg_dump` and its restoration.

use std::process::Output;

use crate::fixture::{Fixture, Rows};

fn succeed(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Dumps the fixture's stage and restores it into a database of its own; the new database's fixture.
pub fn restored(fixture: &Fixture) -> Fixture {
    let stage = &fixture.pair.stage;
    let file = stage.home().join(format!("{}.sql", fixture.db));
    let copy = format!("{}_restored", fixture.db);
    fixture.on_stage(&format!("create database {copy}"));
    succeed(stage.tool("pg_dump").arg("-f").arg(&file).arg(&fixture.db).output().expect("pg_dump"));
    let restore = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &copy, "-f"];
    succeed(stage.tool("psql").args(restore).arg(&file).output().expect("psql"));
    Fixture { pair: fixture.pair.clone(), db: copy }
}

#[test]
fn the_shipped_pipelines_changes_survive() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_stage(
        "update lrs_extract.pipeline set slice_width = '3 days', retries = 7 where name = 'aidt'",
    );
    let kept = restored(&fixture)
        .stage_value("select slice_width || ' ' || retries from lrs_extract.pipeline");
    assert_eq!(kept, "3 days 7");
}

#[test]
fn a_pipeline_of_ones_own_survives() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_stage(
        "create temp table copied as select * from lrs_extract.pipeline;
         update copied set name = 'mine';
         insert into lrs_extract.pipeline select * from copied",
    );
    let names = restored(&fixture)
        .stage_value("select string_agg(name, ' ' order by name) from lrs_extract.pipeline");
    assert_eq!(names, "aidt mine");
}

#[test]
fn a_restored_stage_does_not_pull_again_what_its_target_holds() {
    let fixture = Fixture::with(&Rows::of(500).nulls_every(2));
    fixture.pull_all();
    let copy = restored(&fixture);
    assert_eq!(copy.target_rows(), 500);
    let repeated = copy.pull_all();
    assert_eq!(repeated.rows, 0, "the ledger goes where its rows go");
}

#[test]
fn a_restored_stage_knows_a_renamed_pipeline() {
    let fixture = Fixture::with(&Rows::of(500));
    fixture.pull_all();
    fixture.on_stage("update lrs_extract.pipeline set name = 'renamed'");
    let copy = restored(&fixture);
    let pulled =
        "select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', pipeline => 'renamed')";
    assert_eq!(copy.stage_value(pulled), "0");
    assert_eq!(copy.target_rows(), 500);
}

#[test]
fn the_extension_can_be_dropped_and_created_again() {
    let fixture = Fixture::with(&Rows::of(100));
    fixture.pull_all();
    fixture.on_stage("drop extension lrs_extract cascade");
    fixture.on_stage("create extension lrs_extract; truncate pipeline.aidt_raw");
    fixture.connect_stage_to_source("");
    fixture.pull_all();
    fixture.assert_all_rows();
}
