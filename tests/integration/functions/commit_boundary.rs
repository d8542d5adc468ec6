//! `commit`: a batch, a slice, or the caller's own transaction is what becomes durable at once.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

/// Keeps the transaction of every insert into the target.
const WATCH_TRANSACTIONS: &str = "
    create table pipeline.seen (transaction bigint);
    create function pipeline.see() returns trigger language plpgsql as
        'begin insert into pipeline.seen values (txid_current()); return null; end';
    create trigger see after insert on pipeline.aidt_raw
        for each statement execute function pipeline.see();
    update lrs_extract.pipeline set slice_width = '40 days'";

fn transactions_of(pull: &Pull) -> i64 {
    let fixture = Fixture::with(&Rows::of(4_000).nulls_every(5));
    fixture.on_stage(WATCH_TRANSACTIONS);
    pull.run(&mut fixture.stage());
    fixture.assert_all_rows();
    fixture
        .stage_value("select count(distinct transaction) from pipeline.seen")
        .parse()
        .expect("a count")
}

#[test]
fn each_batch_is_a_transaction() {
    assert!(transactions_of(&Pull::everything().batch(100)) >= 40);
}

#[test]
fn each_slice_is_a_transaction_if_so_asked() {
    assert_eq!(transactions_of(&Pull::everything().batch(100).commit("slice")), 5);
}

#[test]
fn all_is_the_callers_transaction_if_so_asked() {
    assert_eq!(transactions_of(&Pull::everything().batch(100).commit("caller")), 1);
}

#[test]
fn a_pull_in_the_callers_transaction_sees_its_rows_before_the_commit() {
    let fixture = Fixture::with(&Rows::of(1_000));
    let mut stage = fixture.stage();
    let mut transaction = stage.transaction().expect("begin");
    let call = Pull::everything().batch(300).commit("caller").call();
    transaction.query(&format!("select {call}"), &[]).expect("the pull");
    let seen: i64 = transaction
        .query_one("select count(*) from pipeline.aidt_raw", &[])
        .expect("a count")
        .get(0);
    assert_eq!((seen, fixture.target_rows()), (1_000, 0));
}

#[test]
fn a_pull_that_the_caller_rolls_back_can_be_made_again() {
    let fixture = Fixture::with(&Rows::of(2_000).ties(3).nulls_every(2));
    let mut stage = fixture.stage();
    let mut transaction = stage.transaction().expect("begin");
    let call = Pull::everything().batch(300).commit("caller").call();
    transaction.query(&format!("select {call}"), &[]).expect("the pull");
    transaction.rollback().expect("rollback");
    assert_eq!(fixture.target_rows(), 0);
    assert_eq!(fixture.pull_all().rows, 2_000);
    fixture.assert_all_rows();
}

#[test]
fn a_pull_in_the_callers_transaction_may_follow_a_truncate_in_it() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut stage = fixture.stage();
    let mut transaction = stage.transaction().expect("begin");
    transaction.batch_execute("truncate pipeline.aidt_raw").expect("truncate");
    let call = Pull::everything().commit("caller").call();
    transaction.query(&format!("select {call}"), &[]).expect("the pull");
    transaction.commit().expect("commit");
    fixture.assert_all_rows();
}

#[test]
fn a_pull_in_the_callers_transaction_is_covered_after_its_commit() {
    let fixture = Fixture::with(&Rows::of(500));
    Pull::everything().commit("caller").run(&mut fixture.stage());
    assert_eq!(fixture.pull_all().rows, 0);
}

#[test]
fn a_slice_that_was_cut_off_leaves_nothing_in_the_target() {
    let fixture = Fixture::with(&Rows::of(3_000));
    fixture.on_stage("update lrs_extract.pipeline set slice_width = '40 days'");
    fixture.slow_target(400);
    let running = fixture.start(&Pull::everything().batch(50).jobs(1).commit("slice"));
    fixture.await_workers_in_a_flush(1);
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err(), "a cancelled call ends with an error");
    assert_eq!(fixture.target_rows(), 0);
    fixture.quick_target();
    fixture.pull_all();
    fixture.assert_all_rows();
}

/// Does it and gives the first row's number of rows, or the refusal's SQLSTATE.
fn outcome(stage: &mut postgres::Client, sql: &str) -> String {
    match stage.simple_query(sql) {
        Ok(_) => "done".to_owned(),
        Err(error) => refusal::<()>(Err(error)).code().code().to_owned(),
    }
}

#[test]
fn a_cursor_read_across_a_savepoint_that_is_rolled_back_covers_nothing_that_it_lost() {
    let fixture = Fixture::with(&Rows::of(2_000));
    let call = Pull::everything().batch(100).commit("caller").call();
    let mut stage = fixture.stage();
    for (sql, expected) in [
        (format!("begin; declare c cursor for select {call}; fetch 1 from c"), "done"),
        ("savepoint s".to_owned(), "done"),
        ("fetch 5 from c".to_owned(), "55000"),
        ("rollback to s".to_owned(), "done"),
    ] {
        assert_eq!(outcome(&mut stage, &sql), expected, "{sql}");
    }
    // The portal failed with the subtransaction.
    assert_ne!(outcome(&mut stage, "fetch all from c"), "done");
    stage.batch_execute("rollback").expect("rollback");
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn a_loop_over_a_pull_with_an_exception_block_in_its_body_pulls_every_row_once() {
    let fixture = Fixture::with(&Rows::of(2_000));
    let call = Pull::everything().batch(100).commit("caller").call();
    fixture.on_stage(&format!(
        "do $$ declare one record; begin
             for one in select * from {call} loop
                 begin perform 1 / (one.batch_no - 3); exception when division_by_zero then null; end;
             end loop;
         end $$"
    ));
    fixture.assert_all_rows();
    assert_eq!(fixture.pull_all().rows, 0);
}

#[test]
fn trouble_that_comes_back_late_in_each_attempt_at_a_slice_ends_the_run_after_its_retries() {
    let fixture = Fixture::with(&Rows::of(2_000));
    fixture.on_stage(
        "update lrs_extract.pipeline set slice_width = '200 days', retries = 2, retry_delay = '10 ms';
         create function pipeline.clash() returns trigger language plpgsql as
             $$ begin
                 if (select count(*) from pipeline.aidt_raw) > 300 then
                     raise exception 'a clash' using errcode = '40001';
                 end if;
                 return null;
             end $$;
         create trigger clash after insert on pipeline.aidt_raw
             for each statement execute function pipeline.clash()",
    );
    let refused =
        refusal(Pull::everything().batch(100).commit("slice").try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "40001", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("after 2 retries"), "{}", whole_text(&refused));
    fixture.on_stage("drop trigger clash on pipeline.aidt_raw");
    fixture.pull_all();
    fixture.assert_all_rows();
}
