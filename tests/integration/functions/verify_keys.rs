//! `verify` down to the statements that differ, by several workers, and where md5 is not to be had.

use std::time::Duration;

use crate::fixture::{Calling, EVERYTHING, Fixture, Rows, await_that, refusal, whole_text};

/// Of each differing statement: day, difference, id and actor.
fn differing(fixture: &Fixture, more: &str) -> Vec<String> {
    let sql = format!(
        "select concat_ws(' ', to_char(\"from\" at time zone 'UTC', 'MM-DD'), difference, right(id, 4), actor_id,
                          source_rows, target_rows, rejected_rows, ok)
           from lrs_extract.verify({EVERYTHING}, level => 'keys' {more})"
    );
    let rows = fixture.stage().query(&sql, &[]).unwrap_or_else(|error| {
        panic!("{}", error.as_db_error().map_or(error.to_string(), whole_text))
    });
    rows.iter().map(|row| row.get(0)).collect()
}

fn three_differences() -> Fixture {
    let fixture = Fixture::with(&Rows::of(3_000).odd_ids_every(10));
    fixture.pull_all();
    fixture.on_source(
        "insert into acid.lrs_statement_new values
           ('2025-05-05 05:05:05+00', '{\"id\": \"a late one\"}', 42)",
    );
    fixture.on_stage(
        "update pipeline.aidt_raw set statement = statement || '{\"by hand\": 1}'
          where statement ->> 'serial' = '1501';
         insert into pipeline.aidt_raw (statement, \"timestamp\")
         values ('{\"id\": \"not of the source\"}', '2025-04-04 04:04:04+00')",
    );
    fixture
}

#[test]
fn each_statement_that_differs_is_shown_with_its_id_and_key() {
    let fixture = three_differences();
    let rows = differing(&fixture, "");
    assert_eq!(rows[0], "04-04 surplus urce 0 1 0 f");
    assert_eq!(rows[1], "05-05 missing  one 42 1 0 0 f");
    assert!(rows[2].contains(" changed ") && rows[2].ends_with(" 1 1 0 f"), "{rows:?}");
    assert_eq!(rows.len(), 3);
    assert_eq!(differing(&fixture, ", jobs => 3"), rows);
}

#[test]
fn no_more_rows_are_shown_than_asked_for() {
    let fixture = Fixture::with(&Rows::of(3_000));
    fixture.pull_all();
    fixture
        .on_stage("delete from pipeline.aidt_raw where (statement ->> 'serial')::int8 % 100 = 0");
    assert_eq!(differing(&fixture, "").len(), 30);
    let (mut stage, notices) = fixture.stage_with_notices();
    let sql = format!(
        "select count(*) from lrs_extract.verify({EVERYTHING}, level => 'keys', max_rows => 7)"
    );
    let count: i64 = stage.query_one(&sql, &[]).expect("a count").get(0);
    assert_eq!(count, 7);
    assert!(notices.all().iter().any(|n| n.contains("is not looked into")), "{:?}", notices.all());
}

#[test]
fn several_workers_find_what_one_backend_does() {
    let fixture = three_differences();
    for level in ["count", "hash"] {
        let rows = |jobs: i64| {
            fixture.stage_value(&format!(
                "select string_agg(v::text, E'\\n') from lrs_extract.verify({EVERYTHING}, level => '{level}', jobs => {jobs}) v"
            ))
        };
        let one = rows(1);
        assert!(one.contains(",f,"), "{one}");
        assert_eq!(one, rows(3), "{level}");
    }
    fixture.assert_nothing_left_running();
}

#[test]
fn a_cancelled_verification_leaves_no_worker() {
    let fixture = three_differences();
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select true'");
    let call = format!("count(*) from lrs_extract.verify({EVERYTHING}, jobs => 2)");
    let running = Calling::by(fixture.stage(), &call);
    await_that("both workers are there", Duration::from_secs(20), || {
        fixture.stage_value(
            "select count(*) from pg_stat_activity
              where backend_type = 'lrs_extract worker' and datname = current_database()
                and query like 'lrs_extract verify%'",
        ) == "2"
    });
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    fixture.assert_nothing_left_running();
}

#[test]
fn without_md5_statements_are_compared_by_sha256() {
    let fixture = three_differences();
    let rows = differing(&fixture, "");
    // As in FIPS mode, on the source alone, and on both.
    fixture.on_source("alter function pg_catalog.md5(text) rename to md5_of_text");
    assert_eq!(differing(&fixture, ""), rows);
    fixture.on_stage("alter function pg_catalog.md5(text) rename to md5_of_text");
    assert_eq!(differing(&fixture, ""), rows);
    fixture.on_source("alter function pg_catalog.md5_of_text(text) rename to md5");
    assert_eq!(differing(&fixture, ""), rows);
}

#[test]
fn bad_arguments_are_refused_in_words() {
    let fixture = Fixture::with(&Rows::of(0));
    for (arguments, code, said) in [
        ("jobs => 0", "22023", "jobs"),
        ("max_rows => 0", "22023", "max_rows"),
        ("max_rows => null", "22004", "max_rows"),
        ("level => 'rows'", "22023", "'keys'"),
    ] {
        let call = format!("select * from lrs_extract.verify({EVERYTHING}, {arguments})");
        let refused = refusal(fixture.stage().query(&call, &[]));
        let words = whole_text(&refused);
        assert_eq!(refused.code().code(), code, "{words}");
        assert!(words.contains(said) && refused.hint().is_some(), "{words}");
    }
}
