//! What was stored is sound: it outlives a dump, indexes find it, and amcheck finds nothing.

use super::{assert_same_room, fixture_of_every_size, for_each_method, pull_in_session, stored};
use crate::fixture::Fixture;
use crate::operations::dump::restored;

#[test]
fn values_survive_a_dump_and_its_restoration() {
    let fixture = fixture_of_every_size();
    for_each_method(&fixture, |_| {
        pull_in_session(&fixture, "");
    });
    let copy = restored(&fixture);
    let content = "select count(*) || ' ' || md5(string_agg(r::text, ',' order by \"timestamp\"))
                   from pipeline.aidt_raw r";
    assert_eq!(copy.stage_value(content), fixture.stage_value(content));
    assert_same_room(&stored(&fixture, "pipeline.aidt_raw"), &stored(&copy, "pipeline.aidt_raw"));
}

/// Indexes that hold fields, parts of statements, and whole statements as they were stored.
fn create_indexes(fixture: &Fixture) {
    fixture.on_stage(
        "create unique index by_id on pipeline.aidt_raw (id);
         create index by_time on pipeline.aidt_raw (\"timestamp\", user_id);
         create index by_kind on pipeline.aidt_raw ((\"statement\" ->> 'kind'), object_type);
         create index by_statement on pipeline.aidt_raw (\"statement\")
             where \"statement\" ->> 'kind' = 'answer';
         create index by_content on pipeline.aidt_raw using gin (\"statement\" jsonb_path_ops)",
    );
}

#[test]
fn an_index_over_statements_finds_each_of_them() {
    let fixture = fixture_of_every_size();
    fixture.on_stage("create index by_statement on pipeline.aidt_raw (\"statement\") where \"statement\" ->> 'kind' = 'answer'");
    for_each_method(&fixture, |_| {
        pull_in_session(&fixture, "");
        let mut stage = fixture.stage();
        stage
            .batch_execute(
                "set enable_seqscan = off; set enable_bitmapscan = off;
                 set enable_hashjoin = off; set enable_mergejoin = off",
            )
            .expect("the settings");
        let found = "select count(*) from pipeline.aidt_raw a
                     join pipeline.aidt_raw b on a.\"statement\" = b.\"statement\"
                     where a.\"statement\" ->> 'kind' = 'answer' and b.\"statement\" ->> 'kind' = 'answer'";
        let plan = stage.query(&format!("explain {found}"), &[]).expect("a plan");
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        assert!(plan.concat().contains("by_statement"), "{plan:#?}");
        let found: i64 = stage.query_one(found, &[]).expect("a count").get(0);
        assert_eq!(found, 200);
    });
}

#[test]
fn amcheck_finds_nothing() {
    let fixture = fixture_of_every_size();
    let available = "select count(*) from pg_available_extensions where name = 'amcheck'";
    if fixture.stage_value(available) == "0" {
        println!("the stage has no amcheck");
        return;
    }
    fixture.on_stage("create extension amcheck");
    create_indexes(&fixture);
    for_each_method(&fixture, |_| {
        pull_in_session(&fixture, "");
        fixture.on_stage(include_str!("../../fixture/sql/amcheck.sql"));
        fixture.assert_all_rows();
    });
}
