//! What stands in a run's way is said at once, never waited for without end.

use std::time::{Duration, Instant};

use crate::fixture::{
    Fixture, Pair, Pull, Rows, Running, ServerPlan, Version, await_that, refusal, whole_text,
};

#[test]
fn a_caller_who_truncated_the_target_in_the_same_transaction_is_told_so() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut session = fixture.stage();
    session.batch_execute("begin; truncate pipeline.aidt_raw").expect("truncate");
    let began = Instant::now();
    let refused = refusal(Running::by(session, &Pull::everything()).result());
    assert!(began.elapsed() < Duration::from_secs(15), "only after {:?}", began.elapsed());
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    assert!(whole_text(&refused).contains("lock"), "{}", whole_text(&refused));
    fixture.assert_nothing_left_running();
}

#[test]
fn a_lock_that_someone_else_holds_for_a_moment_is_waited_for() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut blocker = fixture.stage();
    let mut transaction = blocker.transaction().expect("begin");
    transaction
        .batch_execute("lock table pipeline.aidt_raw in access exclusive mode")
        .expect("lock");
    let running = fixture.start(&Pull::everything());
    await_that("a worker waits for the lock", Duration::from_secs(10), || {
        fixture.stage_value(
            "select count(*) from pg_locks where not granted
             and database = (select oid from pg_database where datname = current_database())",
        ) != "0"
    });
    transaction.commit().expect("the lock is released");
    assert_eq!(running.pulled().rows, 500);
}

#[test]
fn a_stage_without_a_free_worker_slot_names_the_setting() {
    // The launcher of logical replication takes the only slot.
    let stage = ServerPlan::of(Version::stage()).setting("max_worker_processes = 1");
    let pair = Pair::of(ServerPlan::of(Version::source()), stage);
    let fixture = Fixture::on(pair, &Rows::of(100));
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert!(whole_text(&refused).contains("max_worker_processes"), "{}", whole_text(&refused));
    assert_eq!(&refused.code().code()[..2], "53", "{}", whole_text(&refused));
}

#[test]
fn a_stage_without_a_free_worker_slot_can_still_pull_in_the_callers_transaction() {
    let stage = ServerPlan::of(Version::stage()).setting("max_worker_processes = 1");
    let pair = Pair::of(ServerPlan::of(Version::source()), stage);
    let fixture = Fixture::on(pair, &Rows::of(100));
    Pull::everything().commit("caller").run(&mut fixture.stage());
    fixture.assert_all_rows();
}

#[test]
fn fewer_free_slots_than_jobs_still_pull_everything() {
    let stage = ServerPlan::of(Version::stage()).setting("max_worker_processes = 2");
    let pair = Pair::of(ServerPlan::of(Version::source()), stage);
    let fixture = Fixture::on(pair, &Rows::of(1_000).nulls_every(2));
    Pull::everything().batch(100).jobs(4).run(&mut fixture.stage());
    fixture.assert_all_rows();
}

#[test]
fn a_second_pull_of_the_pipeline_is_told_which_run_holds_it() {
    let fixture = Fixture::with(&Rows::of(5_000));
    fixture.slow_target(100);
    let first = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    let run = fixture.stage_value("select max(run_id) from lrs_extract.run");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(&refused.code().code()[..2], "55", "{}", whole_text(&refused));
    assert!(refused.message().contains(&run), "run {run} in {}", whole_text(&refused));
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    fixture.on_stage(&format!("select pg_cancel_backend({})", first.leader));
    assert!(first.result().is_err());
}

#[test]
fn another_pipeline_may_run_at_the_same_time() {
    let fixture = Fixture::with(&Rows::of(3_000));
    fixture.on_stage(
        "create table pipeline.other (like pipeline.aidt_raw including all);
         create temp table copied as select * from lrs_extract.pipeline;
         update copied set name = 'other', target_table = 'pipeline.other';
         insert into lrs_extract.pipeline select * from copied",
    );
    fixture.slow_target(400);
    let first = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    fixture.on_stage(
        "select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', 500, 'other')",
    );
    assert_eq!(fixture.stage_value("select count(*) from pipeline.other"), "3000");
    fixture.on_stage(&format!("select pg_cancel_backend({})", first.leader));
    assert!(first.result().is_err());
}

#[test]
fn ddl_on_the_ledger_beside_a_run_waits_for_a_batch_and_not_for_the_run() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.slow_target(100);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    for ddl in [
        "reindex table lrs_extract.slice",
        "vacuum full lrs_extract.slice",
        "vacuum full lrs_extract.batch",
        "alter table lrs_extract.run set (fillfactor = 90)",
        "alter table lrs_extract.pipeline set (fillfactor = 90)",
        "create index on lrs_extract.batch (finished_at)",
        "begin; lock table lrs_extract.pipeline, lrs_extract.run, lrs_extract.heap_scan; commit",
    ] {
        fixture.on_stage(ddl);
        assert!(!running.has_ended(), "the run should be under way after: {ddl}");
    }
    fixture.quick_target();
    assert_eq!(running.pulled().rows, 4_000);
    fixture.assert_all_rows();
}

#[test]
fn ddl_on_the_ledger_beside_dedup_and_replay_does_not_end_them() {
    let fixture = Fixture::with(&Rows::of(500));
    fixture.pull_all();
    for call in ["dedup", "replay"] {
        let mut session = fixture.stage();
        session
            .batch_execute(&format!("begin; select lrs_extract.{call}('2025-03-01', '2025-08-01')"))
            .expect(call);
        fixture.on_stage(
            "set lock_timeout = '5s'; alter table lrs_extract.pipeline set (fillfactor = 90)",
        );
    }
}

/// The setting came with 17.
#[cfg(any(feature = "pg17", feature = "pg18"))]
#[test]
fn a_transaction_timeout_of_the_database_ends_no_worker() {
    let fixture = Fixture::with(&Rows::of(60).between("2025-04-01", "2025-04-08"));
    fixture.on_stage(&format!("alter database {} set transaction_timeout = '1s'", fixture.db));
    let mut session = fixture.stage();
    session.batch_execute("set transaction_timeout = 0").expect("no limit for the caller");
    fixture.slow_target(1_500);
    let pulled = Running::by(session, &Pull::everything().jobs(1)).pulled();
    assert_eq!(pulled.rows, 60);
    fixture.quick_target();
    fixture.assert_all_rows();
}
