//! What goes wrong on the stage while a run is under way: it ends in words that name the target,
//! the ledger tells what is there, and the same call goes on when the trouble is over.

use crate::fixture::{Fixture, Pair, Pull, Rows, Running, SmallDisk, refusal, whole_text};

const ROWS: i64 = 8_000;

fn rows() -> Rows {
    Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(4)
}

/// The words of a run that ended with this SQLSTATE; they name the target.
fn words_of_the_end(running: Running, sqlstate: &str) -> String {
    let refused = refusal(running.result());
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), sqlstate, "{words}");
    assert!(words.contains("pipeline.aidt_raw"), "{words}");
    assert!(refused.hint().is_some(), "a hint in {words}");
    words
}

/// The run is marked as failed, and its batches tell of the rows that `table` holds.
fn assert_ledger_tells_of(fixture: &Fixture, table: &str) {
    fixture.assert_nothing_left_running();
    assert_eq!(fixture.last_run_state(), "failed");
    let told = fixture.stage_value("select sum(rows) from lrs_extract.batch");
    let held = fixture.stage_value(&format!("select count(*) from {table}"));
    assert_eq!(told, held, "rows by the ledger, rows in {table}");
    assert!(held.parse::<i64>().unwrap() < ROWS, "the trouble came in the middle");
}

fn assert_the_same_call_finishes(fixture: &Fixture) {
    Pull::everything().batch(5_000).run(&mut fixture.stage());
    fixture.assert_all_rows();
    assert_eq!(fixture.pull_all().rows, 0);
}

#[test]
fn a_full_disk_ends_the_run_in_words_and_the_same_call_goes_on_once_there_is_room() {
    let Some(disk) = SmallDisk::of_megabytes(3) else { return };
    let fixture = Fixture::on(Pair::own(), &rows());
    fixture.on_stage(&format!("create tablespace small location '{}'", disk.folder().display()));
    fixture.on_stage("alter table pipeline.aidt_raw set tablespace small");
    let words = words_of_the_end(fixture.start(&Pull::everything().batch(200)), "53100");
    assert!(words.contains("No space left"), "{words}");
    assert!(fixture.target_rows() > 0, "what was committed stays");
    assert_ledger_tells_of(&fixture, "pipeline.aidt_raw");
    disk.grow_to_megabytes(64);
    assert_the_same_call_finishes(&fixture);
}

/// A run under way on a target that takes its time.
fn fixture_under_way() -> (Fixture, Running) {
    let fixture = Fixture::with(&rows());
    fixture.slow_target(20);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    (fixture, running)
}

#[test]
fn a_target_that_is_renamed_ends_the_run_and_its_return_lets_it_go_on() {
    let (fixture, running) = fixture_under_way();
    fixture.on_stage("alter table pipeline.aidt_raw rename to elsewhere");
    words_of_the_end(running, "42P01");
    assert_ledger_tells_of(&fixture, "pipeline.elsewhere");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "42P01", "{}", whole_text(&refused));
    fixture.on_stage("alter table pipeline.elsewhere rename to aidt_raw");
    fixture.quick_target();
    assert_the_same_call_finishes(&fixture);
}

#[test]
fn a_target_that_is_dropped_ends_the_run_and_a_new_one_takes_all_after_a_forget() {
    let (fixture, running) = fixture_under_way();
    fixture.on_stage(
        "create table pipeline.shape (like pipeline.aidt_raw including all);
         drop table pipeline.aidt_raw",
    );
    words_of_the_end(running, "42P01");
    fixture.assert_nothing_left_running();
    fixture.on_stage("alter table pipeline.shape rename to aidt_raw");
    fixture.on_stage("select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')");
    assert_the_same_call_finishes(&fixture);
}

#[test]
fn a_column_that_is_dropped_ends_the_run_and_its_return_lets_it_go_on() {
    let (fixture, running) = fixture_under_way();
    fixture.on_stage("alter table pipeline.aidt_raw drop partner_id");
    let words = words_of_the_end(running, "42703");
    assert!(words.contains("partner_id"), "{words}");
    assert_ledger_tells_of(&fixture, "pipeline.aidt_raw");
    fixture.on_stage("alter table pipeline.aidt_raw add partner_id text");
    fixture.quick_target();
    assert_the_same_call_finishes(&fixture);
}

#[test]
fn a_column_that_becomes_a_wider_type_does_not_disturb_the_run() {
    let (fixture, running) = fixture_under_way();
    fixture.on_stage(
        "alter table pipeline.aidt_raw alter user_id type text, add note text default 'new'",
    );
    assert_eq!(running.pulled().rows, ROWS);
    fixture.assert_all_rows();
}
