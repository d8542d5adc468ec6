//! `check` beside limits, odd targets, other sources and a server without room.

use super::check::{assert_all_ok, assert_finds, assert_plan_refuses};
use crate::fixture::{Fixture, Pair, Pooler, Rows, ServerPlan, Version, refusal, skip};

#[test]
fn limits_that_end_a_call_or_a_page_are_found() {
    let fixture = Fixture::with(&Rows::of(10));
    let mut session = fixture.stage();
    session.batch_execute("set statement_timeout = '30s'").expect("set");
    let row = assert_finds("settings", &mut session);
    assert!(row.found.contains("statement_timeout of this session is 30 s"), "{row:?}");
    session.batch_execute(row.advice()).expect("the advice runs");
    session.batch_execute("set default_transaction_read_only = on").expect("set");
    let row = assert_finds("settings", &mut session);
    session.batch_execute(row.advice()).expect("the advice runs");
    fixture.on_stage("alter server lrs_source options (add statement_timeout '2s')");
    let row = assert_finds("settings", &mut session);
    fixture.on_stage(row.advice());
    assert_all_ok(&mut session);
    fixture.on_source(&format!("alter database {} set statement_timeout = '3s'", fixture.db));
    assert!(assert_finds("settings", &mut session).found.contains("on the source is 3 s"));
}

#[test]
fn a_limit_of_connections_below_the_jobs_is_found() {
    let fixture = Fixture::with(&Rows::of(10));
    let role = format!("{}_reader", fixture.db);
    fixture.on_source(&format!(
        "create role {role} login password 'correct horse' in role reader connection limit 1"
    ));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{role}')"
    ));
    let row = assert_finds("role", &mut fixture.stage());
    assert!(row.advice().contains(&format!("alter role {role} connection limit")), "{row:?}");
}

#[test]
fn a_temporary_target_is_found_which_no_worker_sees() {
    let fixture = Fixture::with(&Rows::of(10));
    let mut session = fixture.stage();
    session
        .batch_execute(
            "create temporary table aidt_raw (like pipeline.aidt_raw);
             update lrs_extract.pipeline set target_table = 'pg_temp.aidt_raw'",
        )
        .expect("a temporary target");
    assert!(assert_finds("target", &mut session).found.contains("temporary"));
}

#[test]
fn a_target_that_is_the_source_itself_is_found() {
    let fixture = Fixture::with(&Rows::of(10));
    let stage = &fixture.pair.stage;
    fixture.on_stage(&format!(
        "create role {0} login superuser password 'correct horse';
         create table pipeline.statements (like pipeline.aidt_raw);
         alter table pipeline.statements add full_statement jsonb, add actor_id bigint,
             alter \"timestamp\" set not null;
         create index on pipeline.statements (\"timestamp\", actor_id);
         alter server lrs_source options (set host '{1}', set port '{2}');
         alter user mapping for current_user server lrs_source options (set user '{0}');
         update lrs_extract.pipeline set source_table = 'pipeline.statements', target_table = 'pipeline.statements'",
        format!("{}_super", fixture.db),
        stage.home().display(),
        stage.port()
    ));
    assert!(assert_finds("target", &mut fixture.stage()).found.contains("own table"));
}

#[test]
fn a_stage_without_a_free_worker_slot_is_found() {
    // The launcher of logical replication takes the only slot.
    let stage = ServerPlan::of(Version::stage()).setting("max_worker_processes = 1");
    let pair = Pair { stage: stage.start().into(), ..Pair::shared() };
    let fixture = Fixture::on(pair, &Rows::of(100));
    let mut session = fixture.stage();
    let row = assert_finds("workers", &mut session);
    let pull = "select * from lrs_extract.pull('2025-03-01', '2025-08-01')";
    let refused = refusal(session.query(pull, &[]));
    assert_eq!((refused.message(), refused.hint()), (&*row.found, row.advice.as_deref()));
}

#[test]
fn a_source_behind_a_pooler_is_checked_as_another() {
    let fixture = Fixture::with(&Rows::of(100));
    let Some(pooler) = Pooler::start(&fixture, "transaction", "") else {
        return skip("there is no pgbouncer here; PGBOUNCER may name one");
    };
    pooler.stands_before(&fixture);
    let rows = assert_all_ok(&mut fixture.stage());
    assert!(rows[0].found.ends_with("in a session of a pooler"), "{rows:#?}");
    fixture.on_source("revoke select on acid.lrs_statement_new from reader");
    let mut session = fixture.stage();
    let row = assert_finds("role", &mut session);
    assert_plan_refuses(&row, &mut session);
}

#[test]
fn a_view_and_a_standby_are_checked_as_other_sources() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(100));
    fixture.on_source(
        "create view acid.seen as select * from acid.lrs_statement_new where actor_id is not null;
         grant select on acid.seen to reader",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.seen'");
    let rows = assert_all_ok(&mut fixture.stage());
    assert_eq!(rows[3].found, "acid.seen, a view", "{rows:#?}");
    let standby = fixture.pair.source.standby("");
    fixture.read_from(&standby);
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.lrs_statement_new'");
    // It has replayed no transaction since it was started.
    let row = assert_finds("clock", &mut fixture.stage());
    assert!(row.found.contains("nothing can be taken as settled"), "{row:?}");
    fixture.on_source("create table acid.something ()");
    standby.await_replay_of(&fixture.pair.source);
    let rows = assert_all_ok(&mut fixture.stage());
    assert!(rows[0].found.contains("a standby"), "{rows:#?}");
    assert!(rows[8].found.contains("a standby that has replayed"), "{rows:#?}");
    fixture.on_source("alter table acid.lrs_statement_2025_07 set unlogged");
    standby.await_replay_of(&fixture.pair.source);
    let row = assert_finds("table", &mut fixture.stage());
    let logged = "On the primary: alter table acid.lrs_statement_2025_07 set logged;";
    assert!(row.advice().starts_with(logged), "{row:?}");
}

#[test]
fn a_stage_that_is_a_standby_is_found() {
    let stage = ServerPlan::of(Version::stage()).start();
    let fixture = Fixture::on(Pair { stage: stage.into(), ..Pair::shared() }, &Rows::of(10));
    let standby = fixture.pair.stage.standby("");
    fixture.on_stage("create table pipeline.something ()");
    standby.await_replay_of(&fixture.pair.stage);
    let mut session = standby.connect(&fixture.db);
    let row = assert_finds("workers", &mut session);
    let pull = "select * from lrs_extract.pull('2025-03-01', '2025-08-01')";
    let refused = refusal(session.query(pull, &[]));
    assert_eq!((refused.message(), refused.hint()), (&*row.found, row.advice.as_deref()));
    let unknown = refusal(session.query("select * from lrs_extract.check('adit')", &[]));
    assert_eq!(unknown.code().code(), "42704", "{unknown:?}");
}
