//! `verify` says ok where both sides have the same rows, and nowhere else.

use std::time::Duration;

use postgres::Client;
use postgres::error::DbError;

use crate::fixture::{EVERYTHING, Fixture, Pull, Rows, await_that, refusal, whole_text};

/// What the slices of a verification come to.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    source: i64,
    target: i64,
    rejected: i64,
    /// The days on which slices begin that are not ok.
    not_ok: Vec<String>,
}

fn verify(stage: &mut Client, arguments: &str) -> Found {
    let sql = format!(
        "select coalesce(sum(source_rows), 0)::int8, coalesce(sum(target_rows), 0)::int8,
                coalesce(sum(rejected_rows), 0)::int8,
                coalesce(array_agg(to_char(\"from\" at time zone 'UTC', 'MM-DD') order by \"from\")
                         filter (where not ok), '{{}}')
         from lrs_extract.verify({arguments})"
    );
    let row = stage.query_one(&sql, &[]).unwrap_or_else(|error| match error.as_db_error() {
        Some(refusal) => panic!("{arguments}: {}", whole_text(refusal)),
        None => panic!("{arguments}: {error}"),
    });
    Found { source: row.get(0), target: row.get(1), rejected: row.get(2), not_ok: row.get(3) }
}

const HASHED: &str = "'2025-03-01', '2025-08-01', level => 'hash'";

fn counted(fixture: &Fixture) -> Found {
    verify(&mut fixture.stage(), EVERYTHING)
}

fn hashed(fixture: &Fixture) -> Found {
    verify(&mut fixture.stage(), HASHED)
}

fn all_ok(source: i64, target: i64, rejected: i64) -> Found {
    Found { source, target, rejected, not_ok: Vec::new() }
}

/// A fixture of ties, null actors and bad ids, pulled.
fn pulled_fixture() -> Fixture {
    let fixture =
        Fixture::with(&Rows::of(3_000).ties(7).actors_per_tie(3).nulls_every(4).odd_ids_every(10));
    fixture.pull_all();
    fixture
}

/// The `ctid` of one row of the target, in the slice that begins on the 11th of April.
const ONE_ROW: &str = "(select min(ctid) from pipeline.aidt_raw
    where \"timestamp\" >= '2025-04-11 00:00+00' and \"timestamp\" < '2025-04-21 00:00+00')";

#[test]
fn after_a_pull_every_slice_is_ok() {
    let fixture = pulled_fixture();
    assert_eq!(counted(&fixture), all_ok(3_000, 2_700, 300));
    assert_eq!(hashed(&fixture), all_ok(3_000, 2_700, 300));
}

#[test]
fn before_a_pull_no_slice_is_ok() {
    let fixture = Fixture::with(&Rows::of(100).between("2025-04-11", "2025-04-20"));
    let found = counted(&fixture);
    assert_eq!((found.source, found.target), (100, 0));
    assert_eq!(found.not_ok, ["04-11"], "slices without rows are the same on both sides");
}

#[test]
fn the_slices_are_those_of_the_plan() {
    let fixture = Fixture::with(&Rows::of(0));
    let slices = |function: &str| {
        fixture.stage_value(&format!(
            "select string_agg(format('%s %s %s', partition, \"from\", \"to\"), ', ' order by \"from\")
             from lrs_extract.{function}('2025-03-04 05:06+00', '2025-06-17 18:19+00')"
        ))
    };
    assert!(slices("verify").starts_with("acid.lrs_statement_2025_03 2025-03-04 05:06:00+00"));
    assert_eq!(slices("verify"), slices("plan"));
}

#[test]
fn a_row_that_the_target_lost_is_found() {
    let fixture = pulled_fixture();
    fixture.on_stage(&format!("delete from pipeline.aidt_raw where ctid = {ONE_ROW}"));
    let expected = Found { not_ok: vec!["04-11".to_owned()], ..all_ok(3_000, 2_699, 300) };
    assert_eq!(counted(&fixture), expected);
    assert_eq!(hashed(&fixture), expected);
}

#[test]
fn a_row_that_the_target_has_twice_is_found() {
    let fixture = pulled_fixture();
    fixture.on_stage(&format!(
        "insert into pipeline.aidt_raw select * from pipeline.aidt_raw where ctid = {ONE_ROW}"
    ));
    let expected = Found { not_ok: vec!["04-11".to_owned()], ..all_ok(3_000, 2_701, 300) };
    assert_eq!(counted(&fixture), expected);
    assert_eq!(hashed(&fixture), expected);
}

#[test]
fn a_changed_statement_is_found_by_its_hash_alone() {
    let fixture = pulled_fixture();
    fixture.on_stage(&format!(
        "update pipeline.aidt_raw set \"statement\" = \"statement\" || '{{\"serial\": -1}}'
         where ctid = {ONE_ROW}"
    ));
    assert_eq!(counted(&fixture), all_ok(3_000, 2_700, 300));
    assert_eq!(hashed(&fixture).not_ok, ["04-11"]);
}

#[test]
fn a_lost_row_beside_a_doubled_one_of_another_time_is_found_by_counts() {
    let fixture = pulled_fixture();
    fixture.on_stage(&format!(
        "insert into pipeline.aidt_raw select * from pipeline.aidt_raw where ctid = {ONE_ROW};
         delete from pipeline.aidt_raw where ctid =
             (select max(ctid) from pipeline.aidt_raw where ctid <> {ONE_ROW}
              and \"timestamp\" >= '2025-04-12 00:00+00' and \"timestamp\" < '2025-04-20 00:00+00'
              and \"timestamp\" <> (select \"timestamp\" from pipeline.aidt_raw where ctid = {ONE_ROW}))"
    ));
    let expected = Found { not_ok: vec!["04-11".to_owned()], ..all_ok(3_000, 2_700, 300) };
    assert_eq!(counted(&fixture), expected);
    assert_eq!(hashed(&fixture), expected);
}

#[test]
fn a_lost_row_beside_a_doubled_one_of_its_time_is_found_by_the_hash_alone() {
    let fixture = pulled_fixture();
    fixture.on_stage(&format!(
        "create temp table one as select * from pipeline.aidt_raw where ctid = {ONE_ROW};
         insert into pipeline.aidt_raw select * from pipeline.aidt_raw where ctid = {ONE_ROW};
         delete from pipeline.aidt_raw a using one
          where a.\"timestamp\" = one.\"timestamp\" and a.\"statement\" <> one.\"statement\"
            and a.ctid = (select min(b.ctid) from pipeline.aidt_raw b
                           where b.\"timestamp\" = one.\"timestamp\" and b.\"statement\" <> one.\"statement\")"
    ));
    assert_eq!(counted(&fixture), all_ok(3_000, 2_700, 300));
    assert_eq!(hashed(&fixture).not_ok, ["04-11"]);
}

#[test]
fn a_row_lost_from_a_heavy_tie_at_the_edge_of_a_slice_is_found_there() {
    // At three moments: the 1st of March, the 21st of April, the 11th of June.
    let fixture = Fixture::with(&Rows::of(6_000).ties(2_000).actors_per_tie(50).nulls_every(3));
    Pull::everything().batch(500).run(&mut fixture.stage());
    assert_eq!(hashed(&fixture), all_ok(6_000, 6_000, 0));
    fixture.on_stage(
        "delete from pipeline.aidt_raw where ctid = (select min(ctid) from pipeline.aidt_raw
             where \"timestamp\" = '2025-04-21 00:00+00')",
    );
    let expected = Found { not_ok: vec!["04-21".to_owned()], ..all_ok(6_000, 5_999, 0) };
    assert_eq!(counted(&fixture), expected);
    assert_eq!(hashed(&fixture), expected);
}

#[test]
fn a_lost_reject_is_found() {
    let fixture = pulled_fixture();
    fixture.on_stage(
        "delete from lrs_extract.reject where reject_id =
             (select min(reject_id) from lrs_extract.reject where \"timestamp\" >= '2025-07-31 00:00+00')",
    );
    let found = counted(&fixture);
    assert_eq!((found.rejected, found.not_ok), (299, vec!["07-31".to_owned()]));
}

#[test]
fn rejects_of_another_pipeline_count_for_nothing() {
    let fixture = pulled_fixture();
    fixture.on_stage(
        "update lrs_extract.reject set pipeline_id = gen_random_uuid() where reject_id % 2 = 0",
    );
    assert_eq!(counted(&fixture).rejected, 150);
}

#[test]
fn a_partly_pulled_period_is_ok_where_it_was_pulled() {
    let fixture = Fixture::with(&Rows::of(3_000).nulls_every(3));
    Pull::period("2025-04-01", "2025-06-01").run(&mut fixture.stage());
    let inside = verify(&mut fixture.stage(), "'2025-04-01', '2025-06-01', level => 'hash'");
    assert_eq!((inside.source, inside.not_ok.len()), (inside.target, 0));
    let not_ok = counted(&fixture).not_ok;
    assert_eq!(not_ok.first().map(String::as_str), Some("03-01"));
    assert!(
        not_ok.iter().all(|day| !day.starts_with("04-") && !day.starts_with("05-")),
        "{not_ok:?}"
    );
    assert_eq!(not_ok.len(), 4 + 3 + 4);
}

#[test]
fn a_pull_under_way_is_not_waited_for_and_shows_as_not_ok() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.slow_target(100);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    let found = counted(&fixture);
    assert!(!running.has_ended(), "verified beside the pull");
    assert!(!found.not_ok.is_empty() && found.target > 0, "{found:?}");
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
}

#[test]
fn what_workers_committed_is_seen_in_the_transaction_that_called_them() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut stage = fixture.stage();
    stage.batch_execute("begin isolation level repeatable read; select 1").expect("begin");
    Pull::everything().run(&mut stage);
    assert_eq!(verify(&mut stage, EVERYTHING), all_ok(500, 500, 0));
    stage
        .batch_execute(
            "insert into pipeline.aidt_raw (\"timestamp\") values ('2025-04-12 00:00+00')",
        )
        .expect("insert");
    assert_eq!(verify(&mut stage, EVERYTHING).target, 501, "its own rows are seen too");
    stage.batch_execute("rollback").expect("rollback");
}

#[test]
fn a_read_only_transaction_will_do() {
    let fixture = pulled_fixture();
    let mut stage = fixture.stage();
    stage.batch_execute("begin read only").expect("begin");
    assert_eq!(verify(&mut stage, HASHED), all_ok(3_000, 2_700, 300));
    let written = "select coalesce(pg_current_xact_id_if_assigned()::text, 'nothing')";
    assert_eq!(stage.query_one(written, &[]).expect("a word").get::<_, String>(0), "nothing");
}

#[test]
fn nothing_can_be_written_on_the_source() {
    let fixture = Fixture::with(&Rows::of(10));
    fixture.on_source(
        "create table acid.trace (); grant insert on acid.trace to reader;
         create function acid.scribble() returns boolean language plpgsql volatile as
             $$ begin insert into acid.trace default values; return true; end $$;
         alter table acid.lrs_statement_new enable row level security;
         create policy scribble on acid.lrs_statement_new using (acid.scribble())",
    );
    fixture.on_stage("alter server lrs_source options (add row_security 'on')");
    let call = format!("select * from lrs_extract.verify({EVERYTHING})");
    let refused = refusal(fixture.stage().query(&call, &[]));
    assert_eq!(refused.code().code(), "25006", "{}", whole_text(&refused));
}

#[test]
fn an_endless_period_takes_all_that_has_settled() {
    let fixture = pulled_fixture();
    let (mut stage, notices) = fixture.stage_with_notices();
    assert_eq!(verify(&mut stage, "'-infinity', 'infinity'"), all_ok(3_000, 2_700, 300));
    let said = notices.all();
    assert!(said.iter().any(|notice| notice.contains("settle")), "{said:#?}");
}

#[test]
fn rows_that_have_not_settled_are_not_compared() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "create table acid.lrs_statement_later partition of acid.lrs_statement_new
             for values from ('2026-01-01') to ('2100-01-01');
         insert into acid.lrs_statement_new
         select now() - age, acid.statement(extract(epoch from age)::bigint, false), 1
         from unnest('{10 minutes, 1 minute}'::interval[]) age",
    );
    let hour = "now() - interval '1 hour', now() + interval '1 hour'";
    assert_eq!(verify(&mut fixture.stage(), hour).source, 1);
    assert_eq!(
        verify(&mut fixture.stage(), "now() + interval '1 hour', 'infinity'"),
        all_ok(0, 0, 0)
    );
}

#[test]
fn a_slice_in_the_default_partition_and_a_table_without_partitions() {
    for shape in [
        "partition by range (\"timestamp\");
         create table acid.april partition of acid.t for values from ('2025-04-01') to ('2025-05-01');
         create table acid.rest partition of acid.t default",
        "",
    ] {
        let fixture = Fixture::with(&Rows::of(1_000).ties(3));
        fixture.on_source(&format!(
            "create table acid.t (\"timestamp\" timestamptz not null, full_statement jsonb, actor_id int)
             {shape};
             insert into acid.t select * from acid.lrs_statement_new;
             grant select on acid.t to reader"
        ));
        fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.t'");
        fixture.pull_all();
        assert_eq!(hashed(&fixture), all_ok(1_000, 1_000, 0));
    }
}

#[test]
fn a_count_on_the_source_is_an_index_only_scan() {
    let fixture = Fixture::with(&Rows::of(20_000).nulls_every(5));
    fixture.on_source("vacuum analyze acid.lrs_statement_new");
    fixture.on_source("select pg_stat_reset()");
    let of_indexes = |what: &str| {
        fixture.source_value(&format!(
            "select coalesce(sum({what}), 0) from pg_stat_user_indexes where schemaname = 'acid'"
        ))
    };
    await_that("the statistics are anew", Duration::from_secs(10), || {
        of_indexes("idx_scan") == "0"
    });
    assert_eq!(counted(&fixture).source, 20_000);
    await_that("the scans are told", Duration::from_secs(10), || {
        // The planner looks up the ends of an index besides.
        (20_000..20_100).contains(&of_indexes("idx_tup_read").parse().unwrap_or(0))
    });
    assert_eq!(of_indexes("idx_tup_fetch"), "0", "rows fetched from the heap");
    let scans = "select sum(seq_scan) from pg_stat_user_tables where schemaname = 'acid'";
    assert_eq!(fixture.source_value(scans), "0");
}

/// A refusal says why, and what to do.
fn assert_explained(refused: &DbError) {
    assert!(refused.detail().is_some() && refused.hint().is_some(), "{}", whole_text(refused));
}

#[test]
fn without_a_timestamp_in_the_target_it_is_refused() {
    let fixture = Fixture::with(&Rows::of(10));
    for change in [
        "update lrs_extract.pipeline set mapping = mapping - 'timestamp'",
        "update lrs_extract.pipeline set mapping = mapping || '{\"timestamp\": {\"path\": [\"timestamp\"]}}'",
        "update lrs_extract.pipeline set mapping = mapping || '{\"timestamp\": {\"source\": \"timestamp\"}}';
         alter table pipeline.aidt_raw alter \"timestamp\" type timestamptz(3)",
    ] {
        fixture.on_stage(change);
        let call = format!("select * from lrs_extract.verify({EVERYTHING})");
        let refused = refusal(fixture.stage().query(&call, &[]));
        assert_eq!(refused.code().code(), "0A000", "{}", whole_text(&refused));
        assert_explained(&refused);
    }
}

#[test]
fn without_the_statement_in_the_target_it_is_counted_and_not_hashed() {
    let fixture = pulled_fixture();
    fixture.on_stage("update lrs_extract.pipeline set mapping = mapping - 'statement'");
    assert_eq!(counted(&fixture), all_ok(3_000, 2_700, 300));
    let refused =
        refusal(fixture.stage().query(&format!("select * from lrs_extract.verify({HASHED})"), &[]));
    assert_eq!(refused.code().code(), "0A000", "{}", whole_text(&refused));
    assert_explained(&refused);
    assert!(refused.hint().is_some_and(|hint| hint.contains("count")), "{}", whole_text(&refused));
}

#[test]
fn arguments_that_make_no_sense_are_refused_in_words() {
    let fixture = Fixture::with(&Rows::of(0));
    for (arguments, sqlstate) in [
        ("null, '2025-08-01'", "22004"),
        ("'2025-03-01', null", "22004"),
        ("'2025-03-01', '2025-08-01', null", "22004"),
        ("'2025-03-01', '2025-08-01', level => null", "22004"),
        ("'2025-08-01', '2025-03-01'", "22023"),
        ("'2025-03-01', '2025-08-01', level => 'hashes'", "22023"),
        ("'2025-03-01', '2025-08-01', 'adit'", "42704"),
    ] {
        let call = format!("select * from lrs_extract.verify({arguments})");
        let refused = refusal(fixture.stage().query(&call, &[]));
        assert_eq!(refused.code().code(), sqlstate, "{arguments}: {}", whole_text(&refused));
        assert_explained(&refused);
    }
}
