//! Promise 4: a bad value stops nothing and vanishes nowhere.

use crate::fixture::{Lab, Pull, Rows, refusal, whole_text};

const BAD_ID: &str = r#"{"id": "test-1", "actor": {"mbox": "mailto:a@b.example"}, "object": {}}"#;

/// A lab whose source holds one row for each of these statements, on the first of April.
fn lab_with(statements: &[&str]) -> Lab {
    let lab = Lab::with(&Rows::of(0));
    for (minute, statement) in statements.iter().enumerate() {
        let sql = format!(
            "insert into acid.lrs_statement_new values
                 ('2025-04-01 00:00+00'::timestamptz + interval '{minute} minutes', $json${statement}$json$, {minute})"
        );
        lab.on_source(&sql);
    }
    lab
}

/// A lab that reads from a table like the source's whose statements are of another type.
fn lab_with_texts(statement_type: &str, statements: &[&str]) -> Lab {
    let lab = Lab::with(&Rows::of(0));
    lab.on_source(&format!(
        "create table acid.odd (\"timestamp\" timestamptz not null,
                                full_statement {statement_type} not null, actor_id bigint);
         create index on acid.odd (\"timestamp\", actor_id);
         grant select on acid.odd to reader"
    ));
    for statement in statements {
        lab.on_source(&format!(
            "insert into acid.odd values ('2025-04-01 00:00+00', $json${statement}$json$, 1)"
        ));
    }
    lab.on_stage("update lrs_extract.pipeline set source_table = 'acid.odd'");
    lab
}

fn set_on_bad_value(lab: &Lab, word: &str) {
    lab.on_stage(&format!("update lrs_extract.pipeline set on_bad_value = '{word}'"));
}

fn rejected(lab: &Lab) -> String {
    lab.stage_value(
        "select string_agg(coalesce(column_name, '-') || ' ' || sqlstate, ', ' order by 1) from lrs_extract.reject",
    )
}

#[test]
fn an_id_that_is_no_uuid_is_rejected_whole() {
    let lab = lab_with(&[BAD_ID]);
    let pulled = Pull::everything().run(&mut lab.stage());
    assert_eq!((pulled.rows, pulled.rejected), (0, 1));
    assert_eq!(rejected(&lab), "id 22P02");
    let key =
        "select \"timestamp\" = '2025-04-01 00:00+00' and actor_id = 0 from lrs_extract.reject";
    assert_eq!(lab.stage_value(key), "true");
    assert!(lab.stage_value("select message from lrs_extract.reject").contains("uuid"));
    lab.assert_all_rows();
}

#[test]
fn a_reject_belongs_to_its_run_and_batch() {
    let lab = Lab::with(&Rows::of(2_000).odd_ids_every(7));
    Pull::everything().batch(100).run(&mut lab.stage());
    let differing = "select count(*) from lrs_extract.batch b where rejected <>
        (select count(*) from lrs_extract.reject r where (r.run_id, r.batch_no) = (b.run_id, b.batch_no))";
    assert_eq!(lab.stage_value(differing), "0");
    assert_eq!(lab.stage_value("select count(*) from lrs_extract.reject"), "286");
}

#[test]
fn source_rows_are_target_rows_and_rejects_together() {
    let lab = Lab::with(&Rows::of(6_000).ties(10).nulls_every(2).odd_ids_every(3));
    let pulled = Pull::everything().batch(450).run(&mut lab.stage());
    assert_eq!((pulled.rows, pulled.rejected), (4_000, 2_000));
    lab.assert_all_rows();
}

#[test]
fn rejects_are_not_made_twice_by_a_second_call() {
    let lab = lab_with(&[BAD_ID]);
    lab.pull_all();
    lab.pull_all();
    assert_eq!(lab.stage_value("select count(*) from lrs_extract.reject"), "1");
}

#[test]
fn text_that_is_too_long_for_its_column_is_rejected() {
    let lab = lab_with(&[
        r#"{"actor": {"account": {"name": "längerer"}}, "object": {}}"#,
        r#"{"actor": {"account": {"name": "lange"}}, "object": {}}"#,
        r#"{"actor": {"account": {"name": "äöüß学"}}, "object": {}}"#,
    ]);
    lab.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(5)");
    let pulled = lab.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (2, 1));
    assert_eq!(rejected(&lab), "user_id 22001");
    lab.assert_all_rows();
}

#[test]
fn blanks_beyond_the_length_of_a_column_are_cut_as_the_server_cuts_them() {
    let lab = lab_with(&[r#"{"actor": {"account": {"name": "lange   "}}, "object": {}}"#]);
    lab.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(5)");
    let pulled = lab.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 1, "neither lost nor an error");
}

#[test]
fn a_null_character_that_only_the_statement_holds_is_rejected_as_the_server_would() {
    let lab = lab_with_texts(
        "json",
        &[r#"{"actor": {}, "object": {}, "result": {"response": "a\u0000b"}}"#],
    );
    lab.pull_all();
    assert_eq!(rejected(&lab), "statement 22P05");
    let statement = lab.stage_value("select statement from lrs_extract.reject");
    assert!(statement.contains(r"a\u0000b"), "the statement is kept as it was: {statement}");
}

#[test]
fn a_null_character_in_a_field_is_rejected() {
    let lab = lab_with_texts("json", &[r#"{"actor": {"mbox": "a\u0000b"}, "object": {}}"#]);
    assert_eq!(lab.pull_all().rejected, 1);
    assert!(rejected(&lab).starts_with("user_id 22"), "{}", rejected(&lab));
}

#[test]
fn a_null_character_beside_good_fields_is_rejected_too() {
    let lab = lab_with_texts(
        "json",
        &[r#"{"actor": {"mbox": "a"}, "object": {}, "result": {"response": "\u0000"}}"#, "{}"],
    );
    let pulled = lab.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 1));
}

#[test]
fn half_a_surrogate_pair_in_a_json_column_is_rejected() {
    let lab = lab_with_texts("json", &[r#"{"actor": {"mbox": "\ud83d"}, "object": {}}"#]);
    assert_eq!(lab.pull_all().rejected, 1);
    assert!(rejected(&lab).ends_with("22P02"), "{}", rejected(&lab));
}

#[test]
fn a_text_column_that_holds_no_json_is_rejected() {
    let lab = lab_with_texts("text", &["{\"half\": ", "", "{\"whole\": 1}"]);
    let pulled = lab.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 2));
    assert!(rejected(&lab).ends_with("22P02"), "{}", rejected(&lab));
}

#[test]
fn statements_that_are_no_object_are_counted_and_stop_nothing() {
    let statements = ["\"just text\"", "42", "[]", "null", "true", "{}", "[{\"id\": 1}]"];
    let lab = lab_with(&statements);
    let pulled = lab.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 7);
    lab.assert_all_rows();
}

#[test]
fn a_bad_value_becomes_null_where_the_pipeline_says_so() {
    let lab = lab_with(&[BAD_ID]);
    set_on_bad_value(&lab, "null");
    let pulled = lab.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 0));
    assert_eq!(lab.stage_value("select id is null from pipeline.aidt_raw"), "true");
    assert_eq!(lab.stage_value("select user_id from pipeline.aidt_raw"), "mailto:a@b.example");
}

#[test]
fn a_bad_value_becomes_null_where_the_column_says_so() {
    let lab = lab_with(&[BAD_ID]);
    lab.on_stage(
        r#"update lrs_extract.pipeline
           set mapping = jsonb_set(mapping, '{id}', '{"path": ["id"], "on_bad_value": "null"}')"#,
    );
    let pulled = lab.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (1, 0));
}

#[test]
fn a_statement_that_jsonb_cannot_hold_is_rejected_even_where_bad_values_become_null() {
    let lab =
        lab_with_texts("json", &[r#"{"id": null, "actor": {"name": "\u0000"}, "object": {}}"#]);
    set_on_bad_value(&lab, "null");
    let pulled = lab.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 1);
}

#[test]
fn a_bad_value_ends_the_run_where_the_pipeline_says_so() {
    let lab = lab_with(&["{\"actor\": {}, \"object\": {}}", BAD_ID]);
    set_on_bad_value(&lab, "abort");
    let refused = refusal(Pull::everything().try_run(&mut lab.stage()));
    assert_eq!(refused.code().code(), "22P02", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("id"), "{}", whole_text(&refused));
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    assert_eq!(lab.last_run_state(), "failed");
    set_on_bad_value(&lab, "reject");
    lab.pull_all();
    lab.assert_all_rows();
}

#[test]
fn a_statement_nested_thousands_deep_stops_nothing() {
    let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
    let lab = lab_with_texts("text", &[&deep]);
    let pulled = lab.pull_all();
    assert_eq!(pulled.rows + pulled.rejected, 1);
}
