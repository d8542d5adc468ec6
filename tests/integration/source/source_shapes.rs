//! Sources of other shapes than five monthly partitions, and what `plan` says of them.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

const COLUMNS: &str =
    "\"timestamp\" timestamptz not null, full_statement jsonb not null, actor_id bigint";

/// A fixture whose source table was remade by `sql`, with the same rows.
fn fixture_of_shape(sql: &str) -> Fixture {
    let fixture = Fixture::with(&Rows::of(2_500).ties(7).actors_per_tie(3).nulls_every(4));
    fixture.on_source(&format!(
        "create table acid.kept as select * from acid.lrs_statement_new;
         drop table acid.lrs_statement_new;
         {sql};
         insert into acid.lrs_statement_new select * from acid.kept;
         analyze acid.lrs_statement_new;
         grant select on all tables in schema acid to reader"
    ));
    fixture
}

fn assert_pulled_whole(fixture: &Fixture) {
    let pulled = Pull::everything().batch(150).run(&mut fixture.stage());
    assert_eq!(pulled.rows, 2_500);
    fixture.assert_all_rows();
}

#[test]
fn an_unpartitioned_table() {
    assert_pulled_whole(&fixture_of_shape(&format!(
        "create table acid.lrs_statement_new ({COLUMNS});
         create index on acid.lrs_statement_new (\"timestamp\", actor_id)"
    )));
}

#[test]
fn a_table_without_an_index() {
    assert_pulled_whole(&fixture_of_shape(&format!(
        "create table acid.lrs_statement_new ({COLUMNS})"
    )));
}

#[test]
fn a_default_partition_holds_the_rest() {
    assert_pulled_whole(&fixture_of_shape(&format!(
        "create table acid.lrs_statement_new ({COLUMNS}) partition by range (\"timestamp\");
         create table acid.april partition of acid.lrs_statement_new for values from ('2025-04-01') to ('2025-05-01');
         create table acid.rest partition of acid.lrs_statement_new default;
         create index on acid.lrs_statement_new (\"timestamp\", actor_id)"
    )));
}

#[test]
fn partitions_with_partitions_of_their_own() {
    assert_pulled_whole(&fixture_of_shape(&format!(
        "create table acid.lrs_statement_new ({COLUMNS}) partition by range (\"timestamp\");
         create table acid.early partition of acid.lrs_statement_new
             for values from (minvalue) to ('2025-05-10') partition by range (\"timestamp\");
         create table acid.march partition of acid.early for values from (minvalue) to ('2025-04-01');
         create table acid.april partition of acid.early for values from ('2025-04-01') to ('2025-05-10');
         create table acid.late partition of acid.lrs_statement_new
             for values from ('2025-05-10') to (maxvalue) partition by hash (actor_id);
         create table acid.late_0 partition of acid.late for values with (modulus 2, remainder 0);
         create table acid.late_1 partition of acid.late for values with (modulus 2, remainder 1);
         create index on acid.lrs_statement_new (\"timestamp\", actor_id)"
    )));
}

#[test]
fn a_table_partitioned_by_something_else_than_time() {
    assert_pulled_whole(&fixture_of_shape(&format!(
        "create table acid.lrs_statement_new ({COLUMNS}) partition by list ((actor_id % 2));
         create table acid.even partition of acid.lrs_statement_new for values in (0);
         create table acid.odd partition of acid.lrs_statement_new for values in (1);
         create table acid.nobody partition of acid.lrs_statement_new for values in (null);
         create index on acid.lrs_statement_new (\"timestamp\", actor_id)"
    )));
}

#[test]
fn a_table_of_children_by_inheritance() {
    assert_pulled_whole(&fixture_of_shape(&format!(
        "create table acid.lrs_statement_new ({COLUMNS});
         create table acid.child () inherits (acid.lrs_statement_new);
         create index on acid.lrs_statement_new (\"timestamp\", actor_id)"
    )));
}

/// A fixture whose actors are of another type than the design's.
fn fixture_of_actors(kind: &str, cast: &str) -> Fixture {
    fixture_of_shape(&format!(
        "create table acid.lrs_statement_new (
             \"timestamp\" timestamptz not null, full_statement jsonb not null, actor_id {kind});
         alter table acid.kept alter actor_id type {kind} using {cast};
         create index on acid.lrs_statement_new (\"timestamp\", actor_id)"
    ))
}

#[test]
fn an_actor_column_of_another_integer_type() {
    for kind in ["integer", "smallint"] {
        let fixture = fixture_of_actors(kind, "actor_id");
        Pull::everything().batch(150).run(&mut fixture.stage());
        fixture.assert_all_rows();
    }
}

#[test]
fn an_actor_column_that_is_no_integer_is_refused_in_words() {
    for (kind, cast) in [("text", "actor_id"), ("uuid", "md5(actor_id::text)::uuid")] {
        let fixture = fixture_of_actors(kind, cast);
        let refused = refusal(Pull::everything().batch(150).try_run(&mut fixture.stage()));
        assert_eq!(refused.code().code(), "42804", "{kind}: {}", whole_text(&refused));
        assert!(refused.message().contains("actor_id"), "{kind}: {}", whole_text(&refused));
        assert!(refused.hint().is_some(), "{kind}: {}", whole_text(&refused));
        assert_eq!(fixture.target_rows(), 0);
    }
}

#[test]
fn a_partition_that_is_attached_after_a_pull_is_pulled_by_the_next() {
    let fixture = Fixture::with(&Rows::of(500));
    fixture.pull_all();
    fixture.on_source(
        "create table acid.lrs_statement_2025_08 partition of acid.lrs_statement_new
             for values from ('2025-08-01') to ('2025-09-01');
         grant select on acid.lrs_statement_2025_08 to reader",
    );
    Rows::of(300).between("2025-08-01", "2025-09-01").fill(&mut fixture.source());
    Pull::period("2025-03-01", "2025-09-01").run(&mut fixture.stage());
    fixture.assert_same_rows("2025-03-01", "2025-09-01");
}

/// One value of the plan of everything.
fn plan(fixture: &Fixture, select: &str) -> String {
    fixture
        .stage_value(&format!("select {select} from lrs_extract.plan('2025-03-01', '2025-08-01')"))
}

#[test]
fn a_plan_has_slices_of_the_pipelines_width_that_cover_the_period_without_a_gap() {
    let fixture = Fixture::with(&Rows::of(3_000));
    assert_eq!(
        plan(&fixture, "min(\"from\") = '2025-03-01' and max(\"to\") = '2025-08-01'"),
        "true"
    );
    assert_eq!(plan(&fixture, "sum(\"to\" - \"from\") = interval '153 days'"), "true");
    assert_eq!(plan(&fixture, "max(\"to\" - \"from\") <= interval '10 days'"), "true");
    assert_eq!(plan(&fixture, "count(distinct partition)"), "5");
}

#[test]
fn a_plan_estimates_about_what_is_there() {
    let fixture = Fixture::with(&Rows::of(10_000));
    assert_eq!(plan(&fixture, "sum(estimated_rows) between 5000 and 20000"), "true");
    assert_eq!(plan(&fixture, "sum(estimated_bytes) > 0"), "true");
}

#[test]
fn a_plan_says_what_is_done_and_what_is_to_do() {
    let fixture = Fixture::with(&Rows::of(3_000));
    assert_eq!(plan(&fixture, "string_agg(distinct state, ' ')"), "todo");
    Pull::period("2025-03-01", "2025-05-01").run(&mut fixture.stage());
    assert_eq!(
        plan(&fixture, "string_agg(distinct state, ' ') filter (where \"to\" <= '2025-05-01')"),
        "done"
    );
    assert_eq!(
        plan(&fixture, "string_agg(distinct state, ' ') filter (where \"from\" >= '2025-05-01')"),
        "todo"
    );
    fixture.pull_all();
    assert_eq!(plan(&fixture, "string_agg(distinct state, ' ')"), "done");
}

#[test]
fn a_plan_warns_where_no_index_serves_the_walk() {
    let fixture = fixture_of_shape(&format!("create table acid.lrs_statement_new ({COLUMNS})"));
    let by_heap = "bool_and(access_path like '%by heap: no index%' and warning is null)";
    assert_eq!(plan(&fixture, by_heap), "true", "by heap, none is needed");
    fixture.on_stage("update lrs_extract.pipeline set walk = 'key'");
    assert_eq!(plan(&fixture, "count(*) filter (where warning ilike '%index%') > 0"), "true");
}

#[test]
fn a_plan_does_not_warn_where_an_index_serves_the_walk() {
    let fixture = Fixture::with(&Rows::of(60_000));
    assert_eq!(plan(&fixture, "count(*) filter (where warning ilike '%no index%')"), "0");
}

#[test]
fn a_plan_reads_and_writes_nothing() {
    let fixture = Fixture::with(&Rows::of(1_000));
    plan(&fixture, "count(*)");
    assert_eq!((fixture.target_rows(), fixture.committed_batches()), (0, 0));
    fixture.assert_nothing_left_running();
}

/// How many slices a plan warns of the heap's order when the rows were inserted in this one.
fn warnings_of_a_heap_in_order_of(expression: &str) -> String {
    let fixture = Fixture::with(&Rows::of(2_500));
    fixture.on_source(&format!(
        "create table acid.kept as select * from acid.lrs_statement_new;
         truncate acid.lrs_statement_new;
         insert into acid.lrs_statement_new select * from acid.kept order by {expression};
         analyze acid.lrs_statement_new"
    ));
    // By heap, there is nothing to warn of.
    let by_heap =
        plan(&fixture, "count(*) filter (where access_path like '%by heap:%' and warning is null)");
    fixture.on_stage("update lrs_extract.pipeline set walk = 'key'");
    let warned = "count(*) filter (where warning ilike '%heap order%')";
    let warned = plan(&fixture, &format!("{warned} || ' of ' || count(*)"));
    assert!(
        warned.starts_with(&format!("{by_heap} of ")),
        "{by_heap} slices by heap, {warned} warned"
    );
    warned
}

#[test]
fn a_plan_warns_where_the_heap_lies_in_another_order_than_the_key() {
    assert!(warnings_of_a_heap_in_order_of("\"timestamp\"").starts_with("0 of "));
    let warned = warnings_of_a_heap_in_order_of("md5(full_statement::text)");
    let (warned, slices) = warned.split_once(" of ").expect("two numbers");
    assert_eq!(warned, slices);
}

#[test]
fn a_partition_that_is_detached_during_a_run_is_not_taken_for_pulled() {
    let fixture = Fixture::with(&Rows::of(2_000));
    fixture.slow_target(50);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(50).jobs(1));
    fixture.on_source(
        "alter table acid.lrs_statement_new detach partition acid.lrs_statement_2025_07",
    );
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    assert!(refused.message().contains("lrs_statement_2025_07"), "{}", whole_text(&refused));
    fixture.on_source(
        "alter table acid.lrs_statement_new attach partition acid.lrs_statement_2025_07
             for values from ('2025-07-01') to ('2025-08-01')",
    );
    fixture.quick_target();
    fixture.pull_all();
    fixture.assert_all_rows();
}
