//! Promise 4: a bad value stops nothing and vanishes nowhere.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

const BAD_ID: &str = r#"{"id": "test-1", "actor": {"mbox": "mailto:a@b.example"}, "object": {}}"#;

/// A fixture whose source holds one row for each of these statements, on the first of April.
fn fixture_with(statements: &[&str]) -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    for (minute, statement) in statements.iter().enumerate() {
        let sql = format!(
            "insert into acid.lrs_statement_new values
                 ('2025-04-01 00:00+00'::timestamptz + interval '{minute} minutes', $json${statement}$json$, {minute})"
        );
        fixture.on_source(&sql);
    }
    fixture
}

/// A fixture that reads from a table like the source's whose statements are of another type.
fn fixture_with_texts(statement_type: &str, statements: &[&str]) -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(&format!(
        "create table acid.odd (\"timestamp\" timestamptz not null,
                                full_statement {statement_type} not null, actor_id bigint);
         create index on acid.odd (\"timestamp\", actor_id);
         grant select on acid.odd to reader"
    ));
    for statement in statements {
        fixture.on_source(&format!(
            "insert into acid.odd values ('2025-04-01 00:00+00', $json${statement}$json$, 1)"
        ));
    }
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.odd'");
    fixture
}

fn set_on_bad_value(fixture: &Fixture, word: &str) {
    fixture.on_stage(&format!("update lrs_extract.pipeline set on_bad_value = '{word}'"));
}

fn rejected(fixture: &Fixture) -> String {
    fixture.stage_value(
        "select string_agg(coalesce(column_name, '-') || ' ' || sqlstate, ', ' order by 1) from lrs_extract.reject",
    )
}

#[test]
fn an_id_that_is_no_uuid_is_rejected_whole() {
    let fixture = fixture_with(&[BAD_ID]);
    let pulled = Pull::everything().run(&mut fixture.stage());
    assert_eq!((pulled.rows, pulled.rejected), (0, 1));
    assert_eq!(rejected(&fixture), "id 22P02");
    let key =
        "select \"timestamp\" = '2025-04-01 00:00+00' and actor_id = 0 from lrs_extract.reject";
    assert_eq!(fixture.stage_value(key), "true");
    assert!(fixture.stage_value("select message from lrs_extract.reject").contains("uuid"));
    fixture.assert_all_rows();
}

#[test]
fn a_reject_belongs_to_its_run_and_batch() {
    let fixture = Fixture::with(&Rows::of(2_000).odd_ids_every(7));
    Pull::everything().batch(100).run(&mut fixture.stage());
    let differing = "select count(*) from lrs_extract.batch b where rejected <>
        (select count(*) from lrs_extract.reject r where (r.run_id, r.batch_no) = (b.run_id, b.batch_no))";
    assert_eq!(fixture.stage_value(differing), "0");
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.reject"), "286");
}

#[test]
fn source_rows_are_target_rows_and_rejects_together() {
    let fixture = Fixture::with(&Rows::of(6_000).ties(10).nulls_every(2).odd_ids_every(3));
    let pulled = Pull::everything().batch(450).run(&mut fixture.stage());
    assert_eq!((pulled.rows, pulled.rejected), (4_000, 2_000));
    fixture.assert_all_rows();
}

#[test]
fn rejects_are_not_made_twice_by_a_second_call() {
    let fixture = fixture_with(&[BAD_ID]);
    fixture.pull_all();
    fixture.pull_all();
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.reject"), "1");
}

#[test]
fn text_that_is_too_long_for_its_column_is_rejected() {
    let fixture = fixture_with(&[
        r#"{"actor": {"account": {"name": "längerer"}}, "object": {}}"#,
        r#"{"actor": {"account": {"name": "lange"}}, "object": {}}"#,
        r#"{"actor": {"account": {"name": "äöüß学"}}, "object": {}}"#,
    ]);
    fixture.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(5)");
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (2, 1));
    assert_eq!(rejected(&fixture), "user_id 22001");
    fixture.assert_all_rows();
}

#[test]
fn blanks_beyond_the_length_of_a_column_are_cut_as_the_server_cuts_them() {
    let fixture = fixture_with(&[r#"{"actor": {"account": {"name": "lange   "}}, "object": {}}"#]);
    fixture.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(5)");
    let pulled = fixture.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 1, "neither lost nor an error");
}

#[test]
fn a_null_character_that_only_the_statement_holds_is_rejected_as_the_server_would() {
    let fixture = fixture_with_texts(
        "json",
        &[r#"{"actor": {}, "object": {}, "result": {"response": "a\u0000b"}}"#],
    );
    fixture.pull_all();
    assert_eq!(rejected(&fixture), "statement 22P05");
    let statement = fixture.stage_value("select statement from lrs_extract.reject");
    assert!(statement.contains(r"a\u0000b"), "the statement is kept as it was: {statement}");
}

#[test]
fn a_null_character_in_a_field_is_rejected() {
    let fixture = fixture_with_texts("json", &[r#"{"actor": {"mbox": "a\u0000b"}, "object": {}}"#]);
    assert_eq!(fixture.pull_all().rejected, 1);
    assert!(rejected(&fixture).starts_with("user_id 22"), "{}", rejected(&fixture));
}

#[test]
fn a_null_character_beside_good_fields_is_rejected_too() {
    let fixture = fixture_with_texts(
        "json",
        &[r#"{"actor": {"mbox": "a"}, "object": {}, "result": {"response": "\u0000"}}"#, "{}"],
    );
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 1));
}

#[test]
fn half_a_surrogate_pair_in_a_json_column_is_rejected() {
    let fixture = fixture_with_texts("json", &[r#"{"actor": {"mbox": "\ud83d"}, "object": {}}"#]);
    assert_eq!(fixture.pull_all().rejected, 1);
    assert!(rejected(&fixture).ends_with("22P02"), "{}", rejected(&fixture));
}

#[test]
fn a_text_column_that_holds_no_json_is_rejected() {
    let fixture = fixture_with_texts("text", &["{\"half\": ", "", "{\"whole\": 1}"]);
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 2));
    assert!(rejected(&fixture).ends_with("22P02"), "{}", rejected(&fixture));
}

#[test]
fn statements_that_are_no_object_are_counted_and_stop_nothing() {
    let statements = ["\"just text\"", "42", "[]", "null", "true", "{}", "[{\"id\": 1}]"];
    let fixture = fixture_with(&statements);
    let pulled = fixture.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 7);
    fixture.assert_all_rows();
}

#[test]
fn a_bad_value_becomes_null_where_the_pipeline_says_so() {
    let fixture = fixture_with(&[BAD_ID]);
    set_on_bad_value(&fixture, "null");
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 0));
    assert_eq!(fixture.stage_value("select id is null from pipeline.aidt_raw"), "true");
    assert_eq!(fixture.stage_value("select user_id from pipeline.aidt_raw"), "mailto:a@b.example");
}

#[test]
fn a_bad_value_becomes_null_where_the_column_says_so() {
    let fixture = fixture_with(&[BAD_ID]);
    fixture.on_stage(
        r#"update lrs_extract.pipeline
           set mapping = jsonb_set(mapping, '{id}', '{"path": ["id"], "on_bad_value": "null"}')"#,
    );
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 0));
}

#[test]
fn a_statement_that_jsonb_cannot_hold_is_rejected_even_where_bad_values_become_null() {
    let fixture =
        fixture_with_texts("json", &[r#"{"id": null, "actor": {"name": "\u0000"}, "object": {}}"#]);
    set_on_bad_value(&fixture, "null");
    let pulled = fixture.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 1);
}

#[test]
fn a_bad_value_ends_the_run_where_the_pipeline_says_so() {
    let fixture = fixture_with(&["{\"actor\": {}, \"object\": {}}", BAD_ID]);
    set_on_bad_value(&fixture, "abort");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "22P02", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("id"), "{}", whole_text(&refused));
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    assert_eq!(fixture.last_run_state(), "failed");
    set_on_bad_value(&fixture, "reject");
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn a_statement_nested_thousands_deep_stops_nothing() {
    let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
    let fixture = fixture_with_texts("text", &[&deep]);
    let pulled = fixture.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 1);
}
