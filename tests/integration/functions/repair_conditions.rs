//! A repair under the conditions that servers have: policies, privileges, partitions, unique keys, time limits,
//! pauses, a pooler, text that is no JSON.

use std::time::Duration;

use crate::fixture::{
    Calling, Fixture, Pooler, Repair, Rows, await_that, refusal, skip, whole_text,
};

/// Pulled, and then a statement in ten changed on the source, and one in fifteen deleted.
fn differing(fixture: &Fixture) {
    fixture.on_source(
        "delete from acid.lrs_statement_new where (full_statement ->> 'serial')::int8 % 15 = 1;
         update acid.lrs_statement_new set full_statement = full_statement || '{\"late\": 1}'
          where (full_statement ->> 'serial')::int8 % 10 = 2",
    );
}

fn pulled_and_differing(rows: &Rows) -> Fixture {
    let fixture = Fixture::with(rows);
    fixture.pull_all();
    differing(&fixture);
    fixture
}

#[test]
fn rows_that_a_policy_hides_are_not_taken_for_missing_ones() {
    let fixture = pulled_and_differing(&Rows::of(300));
    let (_, mut session) = fixture.analyst("select, insert, delete");
    fixture.on_stage(
        "alter table pipeline.aidt_raw enable row level security;
         create policy a_few on pipeline.aidt_raw using (user_id is null) with check (true)",
    );
    let before = fixture.target_rows();
    let refused = refusal(Repair::by_counts().try_run(&mut session));
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), "42501", "{words}");
    assert!(words.contains("BYPASSRLS"), "{words}");
    assert_eq!(fixture.target_rows(), before);
}

#[test]
fn a_role_needs_what_the_repair_does_and_no_more() {
    let fixture = pulled_and_differing(&Rows::of(300));
    let (_, mut session) = fixture.analyst("insert");
    let refused = refusal(Repair::by_counts().try_run(&mut session));
    assert_eq!(refused.code().code(), "42501");
    assert!(refused.hint().is_some_and(|hint| hint.contains("grant select")), "{refused:?}");
    let role = format!("{}_recorder", fixture.db);
    fixture.on_stage(&format!("grant select on pipeline.aidt_raw to {role}"));
    Repair::by_hashes().try_run(&mut session).expect("a repair");
    let refused = refusal(Repair::by_hashes().deleting().try_run(&mut session));
    assert_eq!(refused.code().code(), "42501");
    assert!(refused.hint().is_some_and(|hint| hint.contains("delete")), "{refused:?}");
    fixture.on_stage(&format!("grant delete on pipeline.aidt_raw to {role}"));
    Repair::by_hashes().deleting().try_run(&mut session).expect("a repair");
    fixture.assert_all_rows();
}

#[test]
fn nothing_of_the_callers_search_path_is_called() {
    let fixture = pulled_and_differing(&Rows::of(300));
    let (_, mut session) = fixture.analyst("select, insert, delete");
    let role = format!("{}_recorder", fixture.db);
    fixture.on_stage(&format!("create schema trap authorization {role}"));
    let trapped = "language plpgsql as $$ begin raise exception 'trapped'; end $$";
    let operators = [
        ("=", "timestamptz, timestamptz"),
        (">=", "timestamptz, timestamptz"),
        ("<", "timestamptz, timestamptz"),
        ("=", "int8, int8"),
        ("&", "int8, int8"),
        ("=", "tid, tid"),
        ("=", "xid, xid"),
        ("=", "oid, oid"),
        ("->>", "jsonb, text"),
    ];
    let mut sql = String::new();
    for (n, (operator, types)) in operators.iter().enumerate() {
        let (left, right) = types.split_once(", ").expect("two types");
        sql.push_str(&format!(
            "create function trap.f{n}({types}) returns boolean {trapped};
             create operator trap.{operator} (function = trap.f{n}, leftarg = {left}, rightarg = {right});"
        ));
    }
    session.batch_execute(&format!("{sql} set search_path = trap, pg_catalog")).expect("the trap");
    Repair::by_hashes().deleting().try_run(&mut session).expect("a repair");
    fixture.assert_all_rows();
}

#[test]
fn with_a_unique_id_the_new_form_of_a_statement_takes_the_place_of_the_old_one() {
    let fixture = pulled_and_differing(&Rows::of(600));
    fixture.on_stage("alter table pipeline.aidt_raw add unique (id)");
    let repaired = Repair::by_hashes().deleting().run(&fixture);
    assert_eq!((repaired.pulled, repaired.changed), (60, 60), "{repaired:?}");
    fixture.assert_all_rows();
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.reject"), "0");
}

#[test]
fn of_a_partitioned_target_the_rows_that_are_meant_are_deleted() {
    let fixture = Fixture::with(&Rows::of(900).ties(3));
    fixture.on_stage(
        "alter table pipeline.aidt_raw rename to plain;
         create table pipeline.aidt_raw (like pipeline.plain including defaults) partition by range (\"timestamp\");
         create table pipeline.spring partition of pipeline.aidt_raw for values from ('2025-03-01') to ('2025-05-01');
         create table pipeline.summer partition of pipeline.aidt_raw for values from ('2025-05-01') to ('2025-08-01')",
    );
    fixture.pull_all();
    differing(&fixture);
    let repaired = Repair::by_hashes().deleting().run(&fixture);
    assert_eq!(repaired.deleted, repaired.surplus, "{repaired:?}");
    assert!(repaired.surplus > 100, "{repaired:?}");
    fixture.assert_all_rows();
}

#[test]
fn a_trigger_that_takes_rows_away_is_told_of() {
    let fixture = pulled_and_differing(&Rows::of(300));
    fixture.on_stage(
        "create function pipeline.nothing() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger nothing before insert on pipeline.aidt_raw for each row execute function pipeline.nothing()",
    );
    let (mut stage, notices) = fixture.stage_with_notices();
    let repaired = Repair::by_hashes().try_run(&mut stage).expect("a repair");
    assert!(repaired.missing > 0);
    assert!(notices.all().iter().any(|n| n.contains("took them away")), "{:?}", notices.all());
}

#[test]
fn what_takes_longer_than_the_sources_limit_is_asked_for_in_parts() {
    let fixture = Fixture::with(&Rows::of(300).nulls_every(3).between("2025-04-01", "2025-04-08"));
    fixture.pull_all();
    fixture.on_source(
        "insert into acid.lrs_statement_new values ('2025-04-05 05:05+00', acid.statement(77777, false), 1)",
    );
    fixture.slow_source("0.005");
    // The rows of the range that differs, a hundred, take more than that, too.
    fixture.on_stage("alter server lrs_source options (add statement_timeout '400ms')");
    assert_eq!(Repair::by_hashes().run(&fixture).pulled, 1);
    assert_eq!(fixture.target_rows(), 301);
}

#[test]
fn nothing_is_asked_of_the_source_while_it_wants_a_pause() {
    let fixture = pulled_and_differing(&Rows::of(300));
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select true'");
    let running = Calling::by(
        fixture.stage(),
        "count(*) from lrs_extract.repair('2025-03-01', '2025-08-01', level => 'hash')",
    );
    await_that("both workers pause", Duration::from_secs(20), || {
        fixture.stage_value(
            "select count(*) from lrs_extract.workers where doing = 'paused by pause_while'",
        ) == "2"
    });
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.difference"), "0");
    fixture.on_stage("update lrs_extract.pipeline set pause_while = null");
    assert!(running.result().is_ok_and(|ranges| ranges > 0));
    fixture.assert_no_row_is_missing();
}

#[test]
fn a_repair_by_a_pooler_leaves_nothing_on_its_connections() {
    let fixture = pulled_and_differing(&Rows::of(600));
    let Some(pooler) = Pooler::start(&fixture, "transaction", "") else {
        return skip("there is no pgbouncer here; PGBOUNCER may name one");
    };
    pooler.stands_before(&fixture);
    Repair::by_hashes().deleting().run(&fixture);
    fixture.assert_all_rows();
    let mut client = pooler.client(&fixture);
    let rows = client
        .query("select name from pg_settings where source = 'session' and name not in ('application_name', 'client_encoding')", &[])
        .expect("the settings");
    assert!(rows.is_empty(), "{} settings are left", rows.len());
}

#[test]
fn a_text_that_is_no_json_is_told_of_and_left_alone() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "create table acid.as_text (\"timestamp\" timestamptz not null, full_statement text, actor_id bigint);
         create index on acid.as_text (\"timestamp\", actor_id);
         insert into acid.as_text
         select '2025-04-01 00:00+00'::timestamptz + n * interval '1 hour', acid.statement(n, false)::text, n
           from generate_series(1, 600) n;
         grant select on acid.as_text to reader",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.as_text'");
    assert_eq!(fixture.pull_all().rows, 600);
    fixture.on_source(
        "insert into acid.as_text values ('2025-04-20 00:30+00', 'no json', 1);
         insert into acid.as_text values ('2025-04-05 00:30+00', acid.statement(7777, false)::text, 1)",
    );
    let (mut stage, notices) = fixture.stage_with_notices();
    let repaired = Repair::by_counts().try_run(&mut stage).expect("a repair");
    assert_eq!((repaired.missing, repaired.pulled), (1, 1), "{repaired:?}");
    let said = notices.all();
    assert!(
        said.iter().any(|n| n.contains("cannot be compared") && n.contains("2025-04-20")),
        "{said:?}"
    );
}
