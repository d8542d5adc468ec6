//! What a repair must not take for missing or surplus, whatever happens beside it.

use std::time::Duration;

use crate::fixture::{
    Calling, Fixture, Pull, Repair, Rows, await_some, await_that, refusal, whole_text,
};

const DELETING: &str = "count(*) from lrs_extract.repair('2025-03-01', '2025-08-01', level => 'hash', surplus => 'delete')";

fn refused(fixture: &Fixture, repair: &Repair, code: &str, said: &str) {
    let refused = refusal(repair.try_run(&mut fixture.stage()));
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), code, "{words}");
    assert!(words.contains(said) && refused.hint().is_some(), "{said} in {words}");
}

#[test]
fn a_partition_that_is_detached_meanwhile_loses_nothing_on_the_stage() {
    let fixture = Fixture::with(&Rows::of(3_000));
    fixture.pull_all();
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select true'");
    let running = Calling::by(fixture.stage(), DELETING);
    await_that("both workers pause", Duration::from_secs(20), || {
        fixture.stage_value(
            "select count(*) from lrs_extract.workers where doing = 'paused by pause_while'",
        ) == "2"
    });
    fixture.on_source(
        "alter table acid.lrs_statement_new detach partition acid.lrs_statement_2025_03",
    );
    fixture.on_stage("update lrs_extract.pipeline set pause_while = null");
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    assert_eq!(fixture.target_rows(), 3_000);
    // What is no longer there is no matter of the next.
    assert_eq!(Repair::by_hashes().deleting().run(&fixture).ranges, 0);
    assert_eq!(fixture.target_rows(), 3_000);
}

#[test]
fn a_target_that_changes_statements_gets_none_twice() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.on_stage(
        "create function pipeline.shorten() returns trigger language plpgsql as
             $$ begin new.statement := new.statement - 'serial'; return new; end $$;
         create trigger shorten before insert on pipeline.aidt_raw
             for each row execute function pipeline.shorten()",
    );
    fixture.pull_all();
    fixture.on_source(
        "insert into acid.lrs_statement_new values ('2025-04-05 05:05+00', acid.statement(7777, false), 1)",
    );
    for repair in [Repair::by_counts(), Repair::by_hashes().deleting()] {
        refused(&fixture, &repair, "0A000", "does not keep statements");
        assert_eq!(fixture.target_rows(), 1_000);
    }
}

#[test]
fn another_database_of_the_same_names_deletes_nothing() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.pull_all();
    let other = Fixture::with(&Rows::of(10));
    fixture.on_stage(&format!("alter server lrs_source options (set dbname '{}')", other.db));
    refused(&fixture, &Repair::by_hashes().deleting(), "55000", "another database");
    assert_eq!(fixture.target_rows(), 1_000);
    let (mut stage, notices) = fixture.stage_with_notices();
    Repair::by_counts().dry().try_run(&mut stage).expect("a look");
    assert!(notices.all().iter().any(|n| n.contains("another database")), "{:?}", notices.all());
}

#[test]
fn rows_that_another_pipeline_pulled_into_the_target_are_not_deleted() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.pull_all();
    fixture.on_stage(
        "insert into lrs_extract.pipeline (name, mapping)
         select 'b', jsonb_set(mapping, '{partner_id}', '{\"const\": \"B\"}') from lrs_extract.pipeline where name = 'aidt';
         select lrs_extract.pull('2025-04-01', '2025-05-01', pipeline => 'b')",
    );
    let rows = fixture.target_rows();
    refused(&fixture, &Repair::by_hashes().deleting(), "55000", "pipeline \"b\"");
    assert_eq!(fixture.target_rows(), rows);
    // Elsewhere, it is no matter.
    fixture.on_source("delete from acid.lrs_statement_new where \"timestamp\" >= '2025-07-20'");
    let july = Repair::by_counts().period("2025-07-01", "2025-08-01").deleting().run(&fixture);
    assert!(july.deleted > 10, "{july:?}");
}

#[test]
fn a_statement_that_changes_once_more_is_compared_anew() {
    let fixture = Fixture::with(&Rows::of(2_000).between("2025-04-01", "2025-04-10"));
    Pull::everything().run(&mut fixture.stage());
    let change = |key: &str, every: i64| {
        fixture.on_source(&format!(
            "update acid.lrs_statement_new set full_statement = full_statement || '{{\"{key}\": 1}}'
              where (full_statement ->> 'serial')::int8 % {every} = 0"
        ));
    };
    change("late", 20);
    fixture.slow_target(50);
    let running = Calling::by(fixture.stage(), DELETING);
    await_that("a range is repaired", Duration::from_secs(20), || {
        fixture.stage_value("select count(*) from lrs_extract.difference") != "0"
    });
    change("later", 40);
    assert!(running.result().is_ok_and(|ranges| ranges > 3));
    fixture.quick_target();
    // What had been repaired by then has changed since; of the others, none was lost.
    assert_eq!(fixture.target_rows(), 2_000);
    Repair::by_hashes().deleting().run(&fixture);
    fixture.assert_all_rows();
}

#[test]
fn a_late_row_that_the_source_cannot_send_is_set_aside() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "create table acid.plain (\"timestamp\" timestamptz not null, full_statement jsonb, actor_id bigint, divisor int);
         create index on acid.plain (\"timestamp\", actor_id);
         create view acid.divided as select \"timestamp\", full_statement, actor_id, 1 / divisor as part from acid.plain;
         insert into acid.plain
         select '2025-04-01 00:00+00'::timestamptz + n * interval '1 hour', acid.statement(n, false), n, 1
           from generate_series(1, 300) n;
         grant select on acid.divided to reader",
    );
    fixture.on_stage(
        "update lrs_extract.pipeline set source_table = 'acid.divided',
                mapping = mapping || '{\"partner_id\": {\"source\": \"part\"}}'",
    );
    assert_eq!(fixture.pull_all().rows, 300);
    fixture.on_source(
        "insert into acid.plain values ('2025-04-03 00:30+00', acid.statement(700, false), 7, 0);
         insert into acid.plain values ('2025-04-09 00:30+00', acid.statement(701, false), 7, 1)",
    );
    let repaired = Repair::by_counts().run(&fixture);
    assert_eq!((repaired.missing, repaired.pulled), (2, 2), "{repaired:?}");
    assert_eq!(fixture.target_rows(), 301);
    assert_eq!(fixture.stage_value("select sqlstate from lrs_extract.reject"), "22012");
    assert_eq!(Repair::by_hashes().run(&fixture).ranges, 0);
}

#[test]
fn a_dry_run_leaves_no_slice_out_where_connections_are_few() {
    let fixture = Fixture::with(&Rows::of(3_000));
    fixture.pull_all();
    fixture.on_stage(
        "truncate pipeline.aidt_raw; update lrs_extract.pipeline set retry_delay = '200 ms'",
    );
    let role = format!("{}_few", fixture.db);
    fixture.on_source(&format!(
        "create role {role} login password 'x' connection limit 1; grant usage on schema acid to {role}; grant select on all tables in schema acid to {role}"
    ));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{role}', set password 'x')"
    ));
    assert_eq!(Repair::by_counts().dry().run(&fixture).missing, 3_000);
}

#[test]
fn a_verification_by_workers_says_what_lock_of_the_caller_keeps_them() {
    let fixture = Fixture::with(&Rows::of(300));
    fixture.pull_all();
    let mut stage = fixture.stage();
    stage
        .batch_execute("begin; lock table pipeline.aidt_raw in access exclusive mode")
        .expect("a lock");
    let sql = "select count(*) from lrs_extract.verify('2025-03-01', '2025-08-01', jobs => 2)";
    let refused = refusal(stage.query(sql, &[]));
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), "40P01", "{words}");
    assert!(words.contains("calling verify"), "{words}");
}

#[test]
fn a_lookback_that_fails_leaves_the_watermark_of_the_pull() {
    let fixture = Fixture::with(&Rows::of(3_000));
    Pull::period("2025-03-01", "2025-04-01").run(&mut fixture.stage());
    fixture.on_stage(
        "update lrs_extract.pipeline set lookback = '20 days';
         create function pipeline.never() returns trigger language plpgsql as
             $$ begin raise exception using errcode = '57014', message = 'never'; end $$;
         create trigger never before insert on pipeline.aidt_raw for each row
             when (new.\"timestamp\" < '2025-04-01 00:00+00') execute function pipeline.never()",
    );
    fixture.on_source(
        "insert into acid.lrs_statement_new values ('2025-03-25 05:05+00', acid.statement(7777, false), 1)",
    );
    refusal(Pull::period("2025-04-01", "2025-04-02").try_run(&mut fixture.stage()));
    let watermark = await_some("the run has ended", Duration::from_secs(10), || {
        let last = fixture.stage_value(
            "select state || coalesce(watermark::text, '') from lrs_extract.runs order by run_id desc limit 1",
        );
        (!last.starts_with("running")).then_some(last)
    });
    assert_eq!(watermark, "failed", "all of its period is pulled");
    fixture.assert_same_rows("2025-04-01", "2025-04-02");
}
