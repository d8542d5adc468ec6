//! `replay` makes of a reject what a pull would have made of the row, or leaves it and says why.

use crate::fixture::{Fixture, Rows};
use crate::functions::replay::{reasons, rejects, replayed};

#[test]
fn further_columns_of_the_source_are_kept_with_a_reject() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "create table acid.wide (\"timestamp\" timestamptz not null, full_statement jsonb not null, actor_id bigint,
                                 school text, \"a \"\"b\"\"\" int);
         create index on acid.wide (\"timestamp\", actor_id);
         grant select on acid.wide to reader;
         insert into acid.wide select '2025-04-01 00:00+00'::timestamptz + n * interval '1 minute',
             jsonb_build_object('id', 'test-' || n), n, case when n % 3 > 0 then E'\\u00e9 \"' || n end, n * 10
         from generate_series(1, 9) n",
    );
    fixture.on_stage(
        r#"alter table pipeline.aidt_raw add tens int, add actor bigint;
           update lrs_extract.pipeline set source_table = 'acid.wide', mapping = mapping ||
             '{"user_id": {"source": "school"}, "tens": {"source": "a \"b\""}}'"#,
    );
    fixture.pull_all();
    let kept = fixture.stage_value("select extra::text from lrs_extract.reject where actor_id = 3");
    assert_eq!(kept, r#"{"a \"b\"": "30", "school": null}"#);
    fixture.on_stage(r#"update lrs_extract.pipeline set mapping = mapping || '{"id": {"path": ["no"]}, "actor": {"source": "actor_id"}}'"#);
    assert_eq!(replayed(&fixture), 9);
    let made = "select string_agg(coalesce(user_id, '-') || ' ' || tens || ' ' || actor, ', ' order by \"timestamp\") from pipeline.aidt_raw";
    assert!(
        fixture.stage_value(made).starts_with("é \"1 10 1, é \"2 20 2, - 30 3, é \"4 40 4"),
        "{}",
        fixture.stage_value(made)
    );
}

#[test]
fn a_column_that_is_not_kept_with_a_reject_is_named() {
    let fixture = Fixture::with(&Rows::of(90).odd_ids_every(3));
    fixture.pull_all();
    assert_eq!(
        fixture.stage_value("select count(*) from lrs_extract.reject where extra is not null"),
        "0"
    );
    fixture.on_stage(
        r#"update lrs_extract.pipeline set mapping = mapping - 'id' || '{"user_id": {"source": "school"}}'"#,
    );
    assert_eq!(replayed(&fixture), 0);
    assert_eq!(reasons(&fixture), "id 55000");
    let message = fixture.stage_value("select min(message) from lrs_extract.reject");
    assert!(message.contains("\"school\"") && message.contains("orget"), "{message}");
    fixture.on_stage("update lrs_extract.pipeline set mapping = mapping - 'user_id'");
    assert_eq!(replayed(&fixture), 30, "without the column they fit");
}

#[test]
fn a_row_whose_bytes_could_not_be_kept_is_never_loaded() {
    let fixture = Fixture::with(&Rows::of(90).odd_ids_every(3));
    fixture.pull_all();
    // A source that is a PostgreSQL sends no such bytes to a client that asked for UTF-8.
    fixture.on_stage("update lrs_extract.reject set altered = true where actor_id % 2 = 0");
    let altered = rejects(&fixture) - replayed_as_text(&fixture);
    assert!(altered > 0 && altered < 30, "{altered} of 30");
    let left = "select bool_and(altered and sqlstate = '22021' and message like '%UTF-8%') from lrs_extract.reject";
    assert_eq!(fixture.stage_value(left), "true");
    assert_eq!(rejects(&fixture), altered);
}

/// Takes the rejects into a target whose id is any text.
fn replayed_as_text(fixture: &Fixture) -> i64 {
    fixture.on_stage("alter table pipeline.aidt_raw alter id type text");
    replayed(fixture)
}

#[test]
fn values_are_made_and_compressed_as_in_a_pull() {
    let fixture = Fixture::of_growing_statements();
    fixture.pull_all();
    let bytes = "select md5(string_agg(pg_column_size(\"statement\") || ' ' || \"statement\"::text, ',' order by id)) from pipeline.aidt_raw";
    let pulled = fixture.stage_value(bytes);
    fixture.on_stage(
        "truncate pipeline.aidt_raw; select lrs_extract.forget('2025-03-01', '2025-08-01')",
    );
    fixture.on_stage("alter table pipeline.aidt_raw add constraint none check (false)");
    assert_eq!(fixture.pull_all().rejected, 120);
    fixture.on_stage("alter table pipeline.aidt_raw drop constraint none");
    assert_eq!(replayed(&fixture), 120);
    assert_eq!(fixture.stage_value(bytes), pulled);
    fixture.assert_all_rows();
}

#[test]
fn statements_nested_deeper_than_a_backends_stack_stop_nothing() {
    let fixture = Fixture::with(&Rows::of(0));
    let deep = format!("{}{}", "[".repeat(19_000), "]".repeat(19_000));
    fixture.on_source(&format!(
        "create table acid.odd (\"timestamp\" timestamptz not null, full_statement text not null, actor_id bigint);
         create index on acid.odd (\"timestamp\", actor_id);
         grant select on acid.odd to reader;
         insert into acid.odd values ('2025-04-01 00:00+00', '{deep}', 1)"
    ));
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.odd'");
    assert_eq!(fixture.pull_all().rejected, 1);
    assert_eq!(replayed(&fixture), 0);
    fixture.on_stage("alter table pipeline.aidt_raw alter \"statement\" type text");
    assert_eq!(replayed(&fixture), 1);
    assert_eq!(fixture.stage_value("select length(\"statement\") from pipeline.aidt_raw"), "38000");
}
