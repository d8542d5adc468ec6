//! What a pipeline has pulled is known by the pipeline, under whatever name, and by the two tables
//! between which it moved rows.

use crate::fixture::{Fixture, Pair, Pull, Rows, refusal, whole_text};

const ROWS: i64 = 400;

fn fixture() -> Fixture {
    let fixture = Fixture::with(&Rows::of(ROWS));
    fixture.pull_all();
    fixture
}

/// The rows that a pull of everything by the pipeline brings, and the warnings that it gives.
fn pull_by(fixture: &Fixture, pipeline: &str) -> (i64, String) {
    let (mut stage, notices) = fixture.stage_with_notices();
    let sql = format!(
        "select coalesce(sum(rows), 0)::bigint
           from lrs_extract.pull('2025-03-01', '2025-08-01', pipeline => '{pipeline}')"
    );
    let rows = stage.query_one(&sql, &[]).expect("a pull").get(0);
    let all = notices.all();
    (rows, all.into_iter().filter(|n| n.starts_with("WARNING")).collect::<Vec<_>>().join("\n"))
}

fn copy_of_the_target(fixture: &Fixture, name: &str) {
    fixture.on_stage(&format!(
        "create table {name} (like pipeline.aidt_raw including all); grant insert, select on {name} to public"
    ));
}

#[test]
fn a_renamed_pipeline_pulls_nothing_again() {
    let fixture = fixture();
    fixture.on_stage("update lrs_extract.pipeline set name = 'renamed'");
    assert_eq!(pull_by(&fixture, "renamed"), (0, String::new()));
    assert_eq!(
        fixture.stage_value("select string_agg(distinct pipeline, ',') from lrs_extract.runs"),
        "renamed"
    );
    fixture.assert_all_rows();
    // Nor do its rejects, nor its slices lose it.
    let forgotten = "select lrs_extract.forget('2025-03-01', '2025-08-01', 'renamed') > 0";
    assert_eq!(fixture.stage_value(forgotten), "true");
}

#[test]
fn rejects_of_a_renamed_pipeline_are_its_own() {
    let fixture = Fixture::with(&Rows::of(ROWS));
    fixture
        .on_stage("alter table pipeline.aidt_raw add constraint few check (user_id < 'mailto:5')");
    let rejected = fixture.pull_all().rejected;
    assert!(rejected > 0);
    fixture.on_stage(
        "alter table pipeline.aidt_raw drop constraint few;
         update lrs_extract.pipeline set name = 'renamed'",
    );
    let verified =
        "select bool_and(ok) from lrs_extract.verify('2025-03-01', '2025-08-01', 'renamed')";
    assert_eq!(fixture.stage_value(verified), "true");
    let replayed = "select lrs_extract.replay('2025-03-01', '2025-08-01', 'renamed')";
    assert_eq!(fixture.stage_value(replayed), rejected.to_string());
    fixture.assert_all_rows();
}

#[test]
fn an_unfinished_run_goes_on_under_another_name() {
    for walk in ["key", "heap"] {
        let fixture = Fixture::with(&Rows::of(8_000).ties(3));
        fixture.on_stage(&format!("update lrs_extract.pipeline set walk = '{walk}'"));
        fixture.slow_target(60);
        let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
        fixture.on_stage("update lrs_extract.pipeline set name = 'renamed'");
        let refused = refusal(running.result());
        assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
        fixture.assert_nothing_left_running();
        fixture.quick_target();
        let before = fixture.target_rows();
        assert!((1..8_000).contains(&before), "cut in the middle, at {before} rows");
        assert_eq!(pull_by(&fixture, "renamed").0, 8_000 - before);
        fixture.assert_all_rows();
    }
}

#[test]
fn a_renamed_pipeline_is_in_use_while_its_call_goes_on() {
    let fixture = Fixture::with(&Rows::of(8_000));
    fixture.slow_target(300);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    let mut other = fixture.stage();
    other.batch_execute("begin; update lrs_extract.pipeline set name = 'renamed'").expect("a name");
    let call =
        "select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', pipeline => 'renamed')";
    let refused = refusal(other.query_one(call, &[]));
    assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
    drop(other);
    fixture.quick_target();
    running.pulled();
    fixture.assert_all_rows();
}

#[test]
fn a_name_that_is_used_again_hides_nothing() {
    let fixture = fixture();
    copy_of_the_target(&fixture, "pipeline.second");
    fixture.on_stage(
        "create table pipeline.kept as table lrs_extract.pipeline;
         delete from lrs_extract.pipeline;
         insert into lrs_extract.pipeline (name, mapping, target_table)
         select name, mapping, 'pipeline.second' from pipeline.kept",
    );
    let (rows, _) = pull_by(&fixture, "aidt");
    assert_eq!(rows, ROWS);
    assert_eq!(fixture.stage_value("select count(*) from pipeline.second"), ROWS.to_string());
}

#[test]
fn a_pipeline_that_brings_the_rows_of_another_again_says_so() {
    let fixture = fixture();
    fixture.on_stage(
        "create table pipeline.kept as table lrs_extract.pipeline;
         update pipeline.kept set name = 'twin';
         insert into lrs_extract.pipeline table pipeline.kept",
    );
    let (rows, warnings) = pull_by(&fixture, "twin");
    assert_eq!(rows, ROWS, "a copy is a pipeline of its own");
    assert!(warnings.contains("pipeline \"aidt\" has pulled rows of the period"), "{warnings}");
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
}

#[test]
fn a_row_that_comes_back_as_it_was_keeps_its_memory() {
    let fixture = fixture();
    fixture.on_stage(
        "create table pipeline.kept as table lrs_extract.pipeline;
         delete from lrs_extract.pipeline;
         insert into lrs_extract.pipeline table pipeline.kept",
    );
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
}

#[test]
fn another_target_gets_all_rows_and_the_first_one_none_twice() {
    let fixture = fixture();
    copy_of_the_target(&fixture, "pipeline.second");
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.second'");
    let (rows, warnings) = pull_by(&fixture, "aidt");
    assert_eq!(rows, ROWS);
    assert!(warnings.contains("does not count"), "{warnings}");
    assert!(warnings.contains("into pipeline.aidt_raw"), "{warnings}");
    // Told while it matters, and each target has a memory of its own.
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.aidt_raw'");
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
}

#[test]
fn a_target_is_known_under_another_name_and_not_by_its_old_one() {
    let fixture = fixture();
    fixture.on_stage(
        "alter table pipeline.aidt_raw rename to kept;
         update lrs_extract.pipeline set target_table = 'pipeline.kept'",
    );
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
    copy_of_the_target_from(&fixture, "pipeline.kept", "pipeline.aidt_raw");
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.aidt_raw'");
    let (rows, warnings) = pull_by(&fixture, "aidt");
    assert_eq!(rows, ROWS);
    assert!(warnings.contains("into pipeline.kept"), "{warnings}");
}

fn copy_of_the_target_from(fixture: &Fixture, from: &str, name: &str) {
    fixture.on_stage(&format!("create table {name} (like {from} including all)"));
}

#[test]
fn rejects_of_another_target_are_not_replayed_into_this_one() {
    let fixture = Fixture::with(&Rows::of(ROWS));
    copy_of_the_target(&fixture, "pipeline.second");
    fixture
        .on_stage("alter table pipeline.aidt_raw add constraint few check (user_id < 'mailto:5')");
    let rejected = fixture.pull_all().rejected;
    assert!(rejected > 0);
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.second'");
    assert_eq!(pull_by(&fixture, "aidt").0, ROWS);
    let call = "select lrs_extract.replay('2025-03-01', '2025-08-01')";
    assert_eq!(fixture.stage_value(call), "0");
    let verified = "select bool_and(ok) from lrs_extract.verify('2025-03-01', '2025-08-01')";
    assert_eq!(fixture.stage_value(verified), "true");
    fixture.on_stage(
        "alter table pipeline.aidt_raw drop constraint few;
         update lrs_extract.pipeline set target_table = 'pipeline.aidt_raw'",
    );
    assert_eq!(fixture.stage_value(call), rejected.to_string());
    fixture.assert_all_rows();
}

#[test]
fn an_upsert_keeps_the_memory_of_the_row_that_is_there() {
    let fixture = fixture();
    for upsert in [
        "insert into lrs_extract.pipeline (name, mapping) select name, mapping from lrs_extract.pipeline
             on conflict (name) do nothing",
        "insert into lrs_extract.pipeline (name, mapping) select name, mapping from lrs_extract.pipeline
             on conflict (name) do update set mapping = excluded.mapping, pipeline_id = excluded.pipeline_id",
    ] {
        fixture.on_stage(upsert);
        assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()), "{upsert}");
    }
}

#[test]
fn a_target_that_was_made_anew_is_told_of() {
    let fixture = fixture();
    fixture.on_stage(
        "alter table pipeline.aidt_raw rename to kept;
         create table pipeline.aidt_raw (like pipeline.kept including all);
         drop table pipeline.kept",
    );
    let (rows, warnings) = pull_by(&fixture, "aidt");
    assert_eq!(rows, 0);
    assert!(warnings.contains("was dropped"), "{warnings}");
    assert!(warnings.contains("lrs_extract.forget"), "{warnings}");
}

#[test]
fn another_source_table_is_pulled_and_the_first_one_not_again() {
    let fixture = fixture();
    fixture.on_source(
        "create table acid.second (like acid.lrs_statement_new including all);
         insert into acid.second select * from acid.lrs_statement_new order by \"timestamp\" limit 30;
         grant select on acid.second to reader",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.second'");
    let (rows, warnings) = pull_by(&fixture, "aidt");
    assert_eq!(rows, 30);
    assert!(warnings.contains("from acid.lrs_statement_new"), "{warnings}");
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.lrs_statement_new'");
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
}

#[test]
fn another_server_is_another_source_unless_it_leads_to_the_same_table() {
    let fixture = fixture();
    fixture.on_stage(&format!(
        "create server twin foreign data wrapper lrs_extract options ({});
         create user mapping for current_user server twin options ({});
         update lrs_extract.pipeline set server = 'twin'",
        fixture.server_options(),
        fixture.mapping_options(),
    ));
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
    // A database beside it has a table of the same name.
    let beside = format!("{}_beside", fixture.db);
    fixture.on_source(&format!("create database {beside} template template0"));
    let mut other = fixture.pair.source.connect(&beside);
    other
        .batch_execute(
            "create schema acid;
             create table acid.lrs_statement_new (\"timestamp\" timestamptz not null, full_statement jsonb, actor_id bigint);
             create index on acid.lrs_statement_new (\"timestamp\", actor_id);
             insert into acid.lrs_statement_new
             select '2025-04-01'::timestamptz + n * interval '1 minute', '{\"id\": \"5e0fb0a4-52a7-4a2e-8f4d-3f0d9d1f2c11\"}', n
               from generate_series(1, 7) n;
             grant usage on schema acid to reader;
             grant select on acid.lrs_statement_new to reader",
        )
        .expect("a second database");
    drop(other);
    fixture.on_stage(&format!("alter server twin options (set dbname '{beside}')"));
    let (rows, warnings) = pull_by(&fixture, "aidt");
    assert_eq!(rows, 7);
    assert!(warnings.contains("does not count"), "{warnings}");
}

#[test]
fn another_database_behind_the_same_server_is_told() {
    let fixture = fixture();
    let beside = format!("{}_copy", fixture.db);
    fixture
        .pair
        .source
        .connect("postgres")
        .batch_execute(&format!("create database {beside} template {}", fixture.db))
        .expect("a copy");
    fixture.on_stage(&format!("alter server lrs_source options (set dbname '{beside}')"));
    let (rows, warnings) = pull_by(&fixture, "aidt");
    assert_eq!(rows, 0);
    assert!(warnings.contains("the source is another database"), "{warnings}");
    assert!(warnings.contains("lrs_extract.forget"), "{warnings}");
}

#[test]
fn a_half_read_heap_is_not_continued_from_another_source() {
    let fixture = Fixture::with(&Rows::of(8_000).ties(3));
    fixture.on_stage("update lrs_extract.pipeline set walk = 'heap'");
    fixture.slow_target(60);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
    fixture.quick_target();
    fixture.on_source(
        "create table acid.second (like acid.lrs_statement_new including all);
         grant select on acid.second to reader",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.second'");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("half read"), "{}", whole_text(&refused));
    assert!(
        whole_text(&refused).contains("from acid.lrs_statement_new"),
        "{}",
        whole_text(&refused)
    );
    // Into another target, that scan has nothing to say.
    copy_of_the_target(&fixture, "pipeline.second");
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.second', source_table = 'acid.lrs_statement_new'");
    assert_eq!(pull_by(&fixture, "aidt").0, 8_000);
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.aidt_raw'");
    pull_by(&fixture, "aidt");
    fixture.assert_all_rows();
}

#[test]
fn a_source_that_hides_its_identity_is_known_by_name() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(ROWS));
    fixture.on_source("revoke execute on function pg_control_system() from public");
    assert_eq!(fixture.pull_all().rows, ROWS);
    assert_eq!(pull_by(&fixture, "aidt"), (0, String::new()));
    assert_eq!(
        fixture.stage_value("select bool_and(source_id is null) from lrs_extract.run"),
        "true"
    );
}
