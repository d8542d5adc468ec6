//! The pipeline's row while a run goes on: how the source is to be treated follows an update within
//! a moment; a change of what the run takes as given ends it in words, and nothing is lost.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Pull, Rows, Running, await_that, refusal, whole_text};

/// From the commit of an update to the last worker that heeds it; twice what is promised, for a
/// machine that is busy.
const HEEDED_WITHIN: Duration = Duration::from_secs(4);

const ROWS: i64 = 8_000;

fn rows() -> Rows {
    Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(4)
}

fn pull() -> Pull {
    Pull::everything().batch(100)
}

/// A run that is under way and far from its end.
fn fixture_under_way() -> (Fixture, Running) {
    let fixture = Fixture::with(&rows());
    fixture.slow_target(20);
    let running = fixture.start_and_await_a_batch(&pull());
    (fixture, running)
}

/// Sets columns of the pipeline, as an operator would from another session.
fn set(fixture: &Fixture, columns: &str) -> Instant {
    fixture.on_stage(&format!("update lrs_extract.pipeline set {columns} where name = 'aidt'"));
    Instant::now()
}

/// How many workers say that they are doing this.
fn workers_doing(fixture: &Fixture, what: &str) -> i64 {
    let workers = fixture.stage_value(&format!(
        "select count(*) from pg_stat_activity where datname = current_database()
         and backend_type = 'lrs_extract worker' and query like '%: {what}%'"
    ));
    workers.parse().expect("a count")
}

fn await_workers(fixture: &Fixture, count: i64, doing: &str, since: Instant) {
    let limit = HEEDED_WITHIN.saturating_sub(since.elapsed());
    await_that(doing, limit, || workers_doing(fixture, doing) == count);
}

fn await_workers_at_last(fixture: &Fixture, count: i64, doing: &str) {
    await_that(doing, Duration::from_secs(20), || workers_doing(fixture, doing) == count);
}

#[test]
fn a_crawl_is_lifted_in_the_middle_of_a_page() {
    let fixture = Fixture::with(&Rows::of(3_000));
    // A chunk of the only page of a slice is held back for minutes.
    set(&fixture, "max_bytes_per_second = 1000");
    let running = fixture.start(&Pull::everything());
    await_workers_at_last(&fixture, 2, "throttled");
    let lifted = set(&fixture, "max_bytes_per_second = null");
    assert_eq!(running.pulled().rows, 3_000);
    assert!(lifted.elapsed() < HEEDED_WITHIN, "only after {:?}", lifted.elapsed());
    fixture.assert_all_rows();
}

#[test]
fn a_limit_that_is_set_in_the_middle_of_a_run_holds_all_workers_back() {
    let (fixture, running) = fixture_under_way();
    let limited = set(&fixture, "max_bytes_per_second = 2");
    await_workers(&fixture, 2, "throttled", limited);
    let before = fixture.committed_batches();
    let raised = set(&fixture, "max_bytes_per_second = 100000000");
    await_workers(&fixture, 0, "throttled", raised);
    assert!(before < ROWS / 100, "held back in the middle");
    assert_eq!(running.pulled().rows, ROWS);
    fixture.assert_all_rows();
}

#[test]
fn a_pause_is_set_and_lifted_in_the_middle_of_a_run() {
    let (fixture, running) = fixture_under_way();
    let paused = set(&fixture, "pause_while = 'select true'");
    await_workers(&fixture, 2, "paused", paused);
    let before = fixture.committed_batches();
    assert!(before < ROWS / 100, "paused in the middle");
    let lifted = set(&fixture, "pause_while = null");
    await_workers(&fixture, 0, "paused", lifted);
    assert_eq!(running.pulled().rows, ROWS);
    fixture.assert_all_rows();
}

#[test]
fn a_run_that_waits_for_its_next_retry_heeds_a_shorter_delay() {
    let (fixture, running) = run_in_a_long_wait();
    fixture.on_source(&format!("alter role {} connection limit -1", guest(&fixture)));
    let shorter = set(&fixture, "retry_delay = '10 ms'");
    assert_eq!(running.pulled().rows, 200);
    assert!(shorter.elapsed() < HEEDED_WITHIN, "only after {:?}", shorter.elapsed());
    fixture.assert_all_rows();
}

#[test]
fn a_run_that_waits_for_its_next_retry_gives_up_when_there_is_to_be_none() {
    let (fixture, running) = run_in_a_long_wait();
    let none = set(&fixture, "retries = 0");
    let refused = refusal(running.result());
    assert!(none.elapsed() < HEEDED_WITHIN, "only after {:?}", none.elapsed());
    let words = whole_text(&refused);
    // Cut off in the one or the other, and not for having run out of retries.
    let cut_off = ["could not read a page", "could not ask the source whether to pause"];
    assert!(cut_off.iter().any(|doing| words.contains(doing)), "{words}");
    assert!(!words.contains("retries;"), "{words}");
    fixture.assert_nothing_left_running();
}

/// A role of this fixture whose connections to the source can be limited.
fn guest(fixture: &Fixture) -> String {
    format!("{}_guest", fixture.db)
}

/// A run whose source turns it away, and which would wait for a minute before it asks again.
fn run_in_a_long_wait() -> (Fixture, Running) {
    let fixture = Fixture::with(&Rows::of(200));
    let guest = guest(&fixture);
    fixture
        .on_source(&format!("create role {guest} login password 'correct horse' in role reader"));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{guest}')"
    ));
    // The call's first conversation with the source, the plan, finds it open.
    set(&fixture, "retry_delay = '1 minute', pause_while = 'select true'");
    let running = fixture.start(&Pull::everything().jobs(1));
    await_workers_at_last(&fixture, 1, "paused");
    fixture.on_source(&format!("alter role {guest} connection limit 0"));
    fixture.on_source(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{guest}'"
    ));
    set(&fixture, "pause_while = null");
    await_workers_at_last(&fixture, 1, "retrying");
    (fixture, running)
}

#[test]
fn settings_that_bear_on_the_next_plan_only_do_not_disturb_the_run() {
    let (fixture, running) = fixture_under_way();
    set(&fixture, "slice_width = '1 day', settle = '1 hour', retries = 3");
    assert_eq!(running.pulled().rows, ROWS);
    fixture.assert_all_rows();
}

/// The words of the end of a run whose pipeline is changed in its middle; before they are read, the
/// pipeline is as it was.
fn words_of_the_end_after(fixture: &Fixture, change: &str) -> String {
    fixture.on_stage("create table pipeline.kept as table lrs_extract.pipeline");
    let running = fixture.start_and_await_a_batch(&pull());
    fixture.on_stage(change);
    let refused = refusal(running.result());
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), "55000", "{change}: {words}");
    assert!(words.contains("'aidt'") || words.contains("\"aidt\""), "{change}: {words}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("pull again")), "{change}: {words}");
    fixture.assert_nothing_left_running();
    assert_eq!(fixture.last_run_state(), "failed");
    fixture.on_stage(
        "delete from lrs_extract.pipeline;
         insert into lrs_extract.pipeline table pipeline.kept;
         drop table pipeline.kept",
    );
    words
}

#[test]
fn a_change_of_what_the_run_takes_as_given_ends_it_in_words_and_loses_nothing() {
    let fixture = Fixture::with(&rows());
    fixture.slow_target(50);
    let changes = [
        (r#"mapping = jsonb_set(mapping, '{user_id}', '{"const": "x"}')"#, "mapping (user_id)"),
        ("target_table = 'pipeline.other'", "target_table ('pipeline.aidt_raw' is now"),
        ("source_table = 'acid.other'", "source_table ('acid.lrs_statement_new' is now"),
        ("actor_column = 'other'", "actor_column ('actor_id' is now 'other')"),
        ("server = 'other'", "server ('lrs_source' is now 'other')"),
        ("on_bad_value = 'abort'", "on_bad_value ('reject' is now 'abort')"),
    ];
    for (change, named) in changes {
        let update = format!("update lrs_extract.pipeline set {change}");
        let words = words_of_the_end_after(&fixture, &update);
        assert!(words.contains(named), "{named}: {words}");
    }
    for gone in ["delete from lrs_extract.pipeline", "update lrs_extract.pipeline set name = 'b'"] {
        let words = words_of_the_end_after(&fixture, gone);
        assert!(words.contains("gone"), "{gone}: {words}");
    }
    assert!((1..ROWS).contains(&fixture.target_rows()), "some batches came, not all");
    fixture.quick_target();
    fixture.pull_all();
    fixture.assert_all_rows();
}

/// The mapping as shipped, but for a mark in each row that comes by it.
fn mapping_that_marks(mark: &str) -> String {
    format!(r#"mapping = jsonb_set(mapping, '{{partner_id}}', '{{"const": "{mark}"}}')"#)
}

fn rows_marked(fixture: &Fixture, mark: &str) -> i64 {
    let marked = format!("select count(*) from pipeline.aidt_raw where partner_id = '{mark}'");
    fixture.stage_value(&marked).parse().expect("a count")
}

fn assert_all_rows_but_for_marks(fixture: &Fixture) {
    fixture.on_stage("update pipeline.aidt_raw set partner_id = null");
    fixture.assert_all_rows();
}

#[test]
fn after_a_change_of_the_mapping_the_same_call_goes_on_by_the_new_one() {
    let (fixture, running) = fixture_under_way();
    set(&fixture, &mapping_that_marks("new"));
    assert_eq!(refusal(running.result()).code().code(), "55000");
    fixture.assert_nothing_left_running();
    let before = fixture.target_rows();
    assert_eq!(rows_marked(&fixture, "new"), 0);
    fixture.quick_target();
    fixture.pull_all();
    assert_eq!(rows_marked(&fixture, "new"), ROWS - before);
    assert_all_rows_but_for_marks(&fixture);
}

/// A pull in the transaction of its caller, held back by a limit or a pause.
fn running_in_a_transaction(fixture: &Fixture, begin: &str) -> Running {
    let mut session = fixture.stage();
    session.batch_execute(begin).expect("begin");
    let running = Running::by(session, &Pull::everything().commit("caller"));
    await_that("the source is read", Duration::from_secs(20), || {
        fixture.source_value(
            "select count(*) from pg_stat_activity where datname = current_database()
             and application_name like 'lrs_extract run=%'",
        ) != "0"
    });
    running
}

#[test]
fn a_pull_in_the_callers_transaction_heeds_a_limit_that_another_session_lifts() {
    for begin in ["begin", "begin isolation level repeatable read; select 1"] {
        let fixture = Fixture::with(&Rows::of(2_000));
        set(&fixture, "max_bytes_per_second = 1000");
        let running = running_in_a_transaction(&fixture, begin);
        let lifted = set(&fixture, "max_bytes_per_second = null");
        assert_eq!(running.pulled().rows, 2_000, "{begin}");
        assert!(lifted.elapsed() < HEEDED_WITHIN, "{begin}: only after {:?}", lifted.elapsed());
    }
}

#[test]
fn a_pull_in_the_callers_transaction_ends_when_the_mapping_is_changed() {
    let fixture = Fixture::with(&Rows::of(2_000));
    set(&fixture, "pause_while = 'select true'");
    let running = running_in_a_transaction(&fixture, "begin");
    set(&fixture, "mapping = mapping - 'partner_id'");
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    assert_eq!(fixture.target_rows(), 0);
}

#[test]
fn a_pipeline_that_the_callers_own_transaction_changed_is_pulled_as_that_says() {
    let fixture = Fixture::with(&Rows::of(1_000));
    let mut stage = fixture.stage();
    let mut transaction = stage.transaction().expect("begin");
    transaction
        .batch_execute(&format!(
            "savepoint before; update lrs_extract.pipeline set {}; release before",
            mapping_that_marks("own")
        ))
        .expect("the update");
    let call = Pull::everything().batch(100).call();
    transaction.query(&format!("select {call}"), &[]).expect("the pull");
    transaction.commit().expect("commit");
    assert_eq!(rows_marked(&fixture, "own"), 1_000);
    assert_all_rows_but_for_marks(&fixture);
}

#[test]
fn a_pipeline_that_was_changed_after_the_callers_snapshot_is_pulled_as_it_is_now() {
    let fixture = Fixture::with(&Rows::of(1_000));
    let mut stage = fixture.stage();
    stage
        .batch_execute("begin isolation level repeatable read; table lrs_extract.pipeline")
        .expect("a snapshot");
    set(&fixture, &mapping_that_marks("new"));
    Pull::everything().batch(100).run(&mut stage);
    assert_eq!(rows_marked(&fixture, "new"), 1_000);
    assert_all_rows_but_for_marks(&fixture);
}
