//! Calls that could see too little of what was pulled before: nothing comes twice.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

#[test]
fn a_second_call_in_a_repeatable_read_transaction_sees_the_first() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut stage = fixture.stage();
    stage.batch_execute("begin isolation level repeatable read; select 1").expect("a snapshot");
    assert_eq!(Pull::everything().batch(100).run(&mut stage).rows, 500);
    assert_eq!(Pull::everything().batch(100).run(&mut stage).rows, 0);
    stage.batch_execute("commit").expect("a commit");
    fixture.assert_all_rows();
}

#[test]
fn two_pulls_in_one_select_list_are_refused() {
    // Workers have a lock of their own; in the caller's transaction only the session itself knows.
    for commit in ["batch", "caller"] {
        let fixture = Fixture::with(&Rows::of(500));
        let call = Pull::everything().batch(100).commit(commit).call();
        let refused = refusal(fixture.stage().query(&format!("select {call}, {call}"), &[]));
        assert_eq!(refused.code().code(), "55006", "{commit}: {}", whole_text(&refused));
        fixture.assert_nothing_left_running();
        fixture.pull_all();
        fixture.assert_all_rows();
    }
}

#[test]
fn a_pull_beside_an_open_cursor_of_another_is_refused() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut stage = fixture.stage();
    let call = Pull::everything().batch(10).call();
    stage
        .batch_execute(&format!("begin; declare c cursor for select {call}; fetch 1 from c"))
        .expect("a first batch");
    let refused = refusal(Pull::everything().try_run(&mut stage));
    assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
    stage.batch_execute("rollback").expect("a rollback");
    fixture.assert_nothing_left_running();
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn forgetting_an_empty_range_forgets_nothing() {
    let fixture = Fixture::with(&Rows::of(300));
    fixture.pull_all();
    let forget = "select lrs_extract.forget('2025-04-05', '2025-04-05')";
    assert_eq!(fixture.stage_value(forget), "0");
    assert_eq!(fixture.pull_all().rows, 0);
    fixture.assert_all_rows();
}

#[test]
fn an_infinite_side_that_leaves_no_period_is_refused() {
    let fixture = Fixture::with(&Rows::of(50));
    fixture.pull_all();
    for period in [("infinity", "infinity"), ("-infinity", "-infinity")] {
        let refused = refusal(Pull::period(period.0, period.1).try_run(&mut fixture.stage()));
        assert_eq!(refused.code().code(), "22023", "{}", whole_text(&refused));
    }
    fixture.assert_all_rows();
}

#[test]
fn a_role_with_unusual_defaults_pulls_all_the_same() {
    let fixture = Fixture::with(&Rows::of(500));
    fixture.on_stage(&format!(
        "alter database {} set default_transaction_isolation = 'serializable'",
        fixture.db
    ));
    assert_eq!(Pull::everything().batch(50).run(&mut fixture.stage()).rows, 500);
    fixture.assert_all_rows();
}

#[test]
fn a_pull_again_that_is_cut_off_can_be_gone_on_with() {
    let fixture = Fixture::with(&Rows::of(4_000).ties(3).odd_ids_every(50));
    fixture.pull_all();
    fixture.on_stage("truncate pipeline.aidt_raw");
    fixture.slow_target(100);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200).again());
    fixture.on_stage(&format!("select pg_terminate_backend({})", running.leader));
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
    assert!((1..3_000).contains(&fixture.target_rows()), "cut off in the middle");
    fixture.quick_target();
    fixture.pull_all();
    fixture.assert_all_rows();
    assert_eq!(fixture.pull_all().rows, 0);
}

#[test]
fn what_a_pull_again_rejects_is_there_once() {
    let fixture = Fixture::with(&Rows::of(500).odd_ids_every(10));
    let first = fixture.pull_all();
    fixture.on_stage("truncate pipeline.aidt_raw");
    let again = Pull::everything().again().run(&mut fixture.stage());
    assert_eq!((again.rows, again.rejected), (first.rows, first.rejected));
    fixture.assert_all_rows();
}

#[test]
fn what_the_source_has_no_more_is_not_forgotten_by_a_pull_again() {
    let fixture = Fixture::with(&Rows::of(500).odd_ids_every(10));
    fixture.pull_all();
    let of_march = "select count(*) from lrs_extract.reject where \"timestamp\" < '2025-04-01'";
    let (rejects, all) = (
        fixture.stage_value(of_march),
        fixture.stage_value("select count(*) from lrs_extract.reject"),
    );
    assert_ne!(rejects, "0");
    fixture.on_source("drop table acid.lrs_statement_2025_03");
    fixture.on_stage("delete from pipeline.aidt_raw where \"timestamp\" >= '2025-04-01'");
    Pull::everything().again().run(&mut fixture.stage());
    assert_eq!(fixture.stage_value(of_march), rejects);
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.reject"), all);
    assert_eq!(
        fixture.stage_value("select count(*) from pipeline.aidt_raw"),
        (500 - all.parse::<i64>().unwrap()).to_string()
    );
}
