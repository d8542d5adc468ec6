//! `replay`: rejects of a period taken through the mended mapping or target, in committed steps;
//! source rows = target rows + rejects, before and after.

use postgres::{Client, Error};

use crate::fixture::{Fixture, Rows, refusal, try_call, whole_text};

pub const REPLAY: &str = "lrs_extract.replay('2025-03-01', '2025-08-01')";

fn replay(client: &mut Client) -> Result<i64, Error> {
    try_call(client, REPLAY)
}

pub fn replayed(fixture: &Fixture) -> i64 {
    replay(&mut fixture.stage()).expect("a count")
}

pub fn rejects(fixture: &Fixture) -> i64 {
    fixture.stage_value("select count(*) from lrs_extract.reject").parse().expect("a count")
}

pub fn reasons(fixture: &Fixture) -> String {
    fixture.stage_value(
        "select string_agg(distinct coalesce(column_name, '-') || ' ' || sqlstate, ', ') from lrs_extract.reject",
    )
}

/// A fixture whose target took all rows but those with a long user_id.
fn fixture_with_a_narrow_column() -> Fixture {
    let fixture = Fixture::with(&Rows::of(1_400).ties(3).nulls_every(4));
    fixture.on_stage("alter table pipeline.aidt_raw alter user_id type varchar(8)");
    fixture.pull_all();
    assert!(rejects(&fixture) > 100, "there are rejects: {}", rejects(&fixture));
    assert_eq!(reasons(&fixture), "user_id 22001");
    fixture
}

fn widen(fixture: &Fixture, chars: u32) {
    fixture.on_stage(&format!("alter table pipeline.aidt_raw alter user_id type varchar({chars})"));
}

#[test]
fn after_a_column_was_widened_the_rejects_go_in() {
    let fixture = fixture_with_a_narrow_column();
    let (before, rows) = (rejects(&fixture), fixture.target_rows());
    fixture.assert_all_rows();
    widen(&fixture, 60);
    assert_eq!(replayed(&fixture), before);
    assert_eq!((rejects(&fixture), fixture.target_rows()), (0, rows + before));
    fixture.assert_all_rows();
    assert_eq!(replayed(&fixture), 0, "a second call finds nothing");
    assert_eq!(fixture.pull_all().rows, 0, "nor does a pull");
}

#[test]
fn without_a_change_all_stay_as_they_are() {
    let fixture = fixture_with_a_narrow_column();
    let whole = "select md5(string_agg(r::text || r.xmin, ' ' order by reject_id)) from lrs_extract.reject r";
    let before = fixture.stage_value(whole);
    assert_eq!(replayed(&fixture), 0);
    assert_eq!(fixture.stage_value(whole), before, "not even written anew");
}

#[test]
fn what_still_does_not_fit_stays_with_the_reason_of_today() {
    let fixture = fixture_with_a_narrow_column();
    let origin = "select md5(string_agg((reject_id, run_id, batch_no, \"timestamp\", actor_id, statement, rejected_at)::text, ' '
                                        order by reject_id)) from lrs_extract.reject where message like '%(20)%' or {}";
    widen(&fixture, 20);
    let long = "length(statement::jsonb #>> '{actor,mbox}') > 20 or length(statement::jsonb #>> '{actor,mbox_sha1sum}') > 20
                or length(statement::jsonb #>> '{actor,openid}') > 20";
    let before = fixture.stage_value(&origin.replace("{}", long));
    let (mut session, notices) = fixture.stage_with_notices();
    let (rows, found) = (fixture.target_rows(), rejects(&fixture));
    let went_in = replay(&mut session).expect("a count");
    assert!(went_in > 0 && rejects(&fixture) > 0, "{went_in} of {found}");
    assert_eq!((rejects(&fixture), fixture.target_rows()), (found - went_in, rows + went_in));
    let today = "select bool_and(message like '%character varying(20)%') from lrs_extract.reject";
    assert_eq!(fixture.stage_value(today), "true");
    assert_eq!(
        fixture.stage_value(&origin.replace("{}", "false")),
        before,
        "the rest is its origin's"
    );
    let staying = format!("{} rejects still do not fit", rejects(&fixture));
    assert!(notices.all().iter().any(|n| n.contains(&staying)), "{:?}", notices.all());
    fixture.assert_all_rows();
}

#[test]
fn a_changed_mapping_is_the_one_that_counts() {
    let fixture = Fixture::with(&Rows::of(900).odd_ids_every(3));
    fixture.pull_all();
    assert_eq!(reasons(&fixture), "id 22P02");
    fixture.on_stage(
        r#"alter table pipeline.aidt_raw add serial int;
           update lrs_extract.pipeline set mapping = mapping - 'id' || '{"partner_id": {"path": ["id"]}, "serial": {"path": ["serial"]}}'"#,
    );
    assert_eq!(replayed(&fixture), 300);
    let made = "select count(*) from pipeline.aidt_raw
                where id is null and partner_id = \"statement\" ->> 'id' and serial = (\"statement\" ->> 'serial')::int";
    assert_eq!(fixture.stage_value(made), "300");
    assert_eq!(rejects(&fixture), 0);
}

#[test]
fn a_constraint_that_went_and_one_that_stays_are_told_apart() {
    let fixture = Fixture::with(&Rows::of(700));
    fixture.on_stage(
        "alter table pipeline.aidt_raw add constraint early check (\"timestamp\" < '2025-06-15'),
             add constraint odd check ((\"statement\" ->> 'serial')::int % 5 > 0)",
    );
    fixture.pull_all();
    fixture.on_stage("alter table pipeline.aidt_raw drop constraint early");
    let found = rejects(&fixture);
    let went_in = replayed(&fixture);
    assert_eq!(rejects(&fixture), found - went_in);
    assert_eq!(fixture.target_rows(), 560);
    let said = "select bool_and(sqlstate = '23514' and message like '%odd%' and column_name is null) from lrs_extract.reject";
    assert_eq!(fixture.stage_value(said), "true");
    fixture.assert_all_rows();
}

#[test]
fn rejects_outside_the_period_and_of_other_pipelines_are_left_alone() {
    let fixture = fixture_with_a_narrow_column();
    widen(&fixture, 60);
    fixture.on_stage(
        "update lrs_extract.reject set pipeline_id = gen_random_uuid() where actor_id is null",
    );
    let expected = fixture.stage_value(
        "select count(*) from lrs_extract.reject
         where pipeline_id = (select pipeline_id from lrs_extract.pipeline) and \"timestamp\" >= '2025-04-01' and \"timestamp\" < '2025-05-01'",
    );
    let call = "select lrs_extract.replay('2025-04-01', '2025-05-01')";
    assert_eq!(fixture.stage_value(call), expected);
    fixture.assert_all_rows();
    assert!(rejects(&fixture) > 0);
    let rest = "select lrs_extract.replay('-infinity', 'infinity')";
    fixture.stage_value(rest);
    let own = "select count(*) from lrs_extract.reject
                where pipeline_id = (select pipeline_id from lrs_extract.pipeline)";
    assert_eq!(fixture.stage_value(own), "0");
    assert!(rejects(&fixture) > 0);
    fixture.assert_all_rows();
}

#[test]
fn what_went_in_stays_when_the_callers_transaction_is_rolled_back() {
    let fixture = fixture_with_a_narrow_column();
    widen(&fixture, 60);
    let before = rejects(&fixture);
    let mut session = fixture.stage();
    session.batch_execute("begin").expect("begin");
    assert_eq!(replay(&mut session).expect("a count"), before);
    session.batch_execute("rollback").expect("a rollback");
    assert_eq!((rejects(&fixture), fixture.target_rows()), (0, 1_400));
    fixture.assert_all_rows();
}

#[test]
fn two_calls_in_one_select_list_come_one_after_the_other() {
    let fixture = fixture_with_a_narrow_column();
    widen(&fixture, 60);
    let before = rejects(&fixture);
    let row = fixture.stage().query_one(&format!("select {REPLAY}, {REPLAY}"), &[]);
    let row = row.expect("two counts");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (before, 0));
}

#[test]
fn a_partitioned_target_routes_what_goes_in() {
    let fixture = Fixture::with(&Rows::of(1_400).ties(3).nulls_every(4));
    fixture.on_stage(
        "create table pipeline.parted (like pipeline.aidt_raw including defaults) partition by range (\"timestamp\");
         create table pipeline.spring partition of pipeline.parted for values from ('2025-03-01') to ('2025-06-01');
         create table pipeline.rest partition of pipeline.parted default;
         drop table pipeline.aidt_raw;
         alter table pipeline.parted rename to aidt_raw;
         alter table pipeline.aidt_raw alter user_id type varchar(8)",
    );
    fixture.pull_all();
    widen(&fixture, 60);
    let before = rejects(&fixture);
    assert!(before > 100, "there are rejects: {before}");
    assert_eq!(replayed(&fixture), before);
    fixture.assert_all_rows();
}

#[test]
fn a_bad_value_becomes_null_or_ends_the_call_where_the_pipeline_says_so() {
    let fixture = Fixture::with(&Rows::of(90).odd_ids_every(3));
    fixture.pull_all();
    fixture.on_stage("update lrs_extract.pipeline set on_bad_value = 'abort'");
    let refused = refusal(replay(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "22P02", "{}", whole_text(&refused));
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    assert_eq!((rejects(&fixture), fixture.target_rows()), (30, 60));
    fixture.on_stage("update lrs_extract.pipeline set on_bad_value = 'null'");
    assert_eq!(replayed(&fixture), 30);
    assert_eq!(
        fixture.stage_value("select count(*) from pipeline.aidt_raw where id is null"),
        "30"
    );
}

#[test]
fn an_error_of_the_target_ends_the_call_and_takes_its_step_back() {
    let fixture = fixture_with_a_narrow_column();
    widen(&fixture, 60);
    fixture.on_stage(
        "create function pipeline.refuse() returns trigger language plpgsql as
             'begin raise exception ''not on my watch'' using errcode = ''55P02''; end';
         create trigger refuse before insert on pipeline.aidt_raw
             for each row execute function pipeline.refuse()",
    );
    let before = rejects(&fixture);
    let refused = refusal(replay(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55P02", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("not on my watch"), "{}", whole_text(&refused));
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    assert_eq!(rejects(&fixture), before);
    fixture.assert_all_rows();
}

#[test]
fn a_trigger_that_calls_it_again_is_refused() {
    let fixture = fixture_with_a_narrow_column();
    widen(&fixture, 60);
    fixture.on_stage(&format!(
        "create function pipeline.again() returns trigger language plpgsql as
             $$ begin perform {REPLAY}; return null; end $$;
         create trigger again after insert on pipeline.aidt_raw
             for each statement execute function pipeline.again()"
    ));
    let refused = refusal(replay(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
    fixture.assert_all_rows();
}

#[test]
fn a_restored_stage_replays_what_it_was_restored_with() {
    let fixture = fixture_with_a_narrow_column();
    let copy = crate::operations::dump::restored(&fixture);
    widen(&copy, 60);
    assert_eq!(replayed(&copy), rejects(&fixture));
    assert_eq!(copy.target_rows(), 1_400);
}

#[test]
fn insert_on_the_target_is_enough_and_needed() {
    let fixture = fixture_with_a_narrow_column();
    widen(&fixture, 60);
    let before = rejects(&fixture);
    let mut session = fixture.recorder("select");
    let refused = refusal(replay(&mut session));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("aidt_raw"), "{}", whole_text(&refused));
    fixture.on_stage(&format!("revoke select on pipeline.aidt_raw from {0}_recorder; grant insert on pipeline.aidt_raw to {0}_recorder", fixture.db));
    assert_eq!(replay(&mut session).expect("a count"), before);
    fixture.assert_all_rows();
}

#[test]
fn more_rejects_than_one_step_takes_go_in() {
    let fixture = Fixture::with(&Rows::of(7_500).odd_ids_every(1));
    fixture.pull_all();
    assert_eq!(rejects(&fixture), 7_500);
    fixture.on_stage("alter table pipeline.aidt_raw alter id type text");
    assert_eq!(replayed(&fixture), 7_500);
    assert_eq!(fixture.stage_value("select count(distinct id) from pipeline.aidt_raw"), "7500");
}

#[test]
fn wrong_arguments_are_refused_with_a_hint() {
    let fixture = Fixture::with(&Rows::of(0));
    for (call, sqlstate) in [
        ("lrs_extract.replay(null, '2025-08-01')", "22004"),
        ("lrs_extract.replay('2025-08-01', '2025-03-01')", "22023"),
        ("lrs_extract.replay('2025-03-01', '2025-08-01', null)", "22004"),
        ("lrs_extract.replay('2025-03-01', '2025-08-01', 'no')", "42704"),
    ] {
        let refused = refusal(fixture.stage().query(&format!("select {call}"), &[]));
        assert_eq!(refused.code().code(), sqlstate, "{}", whole_text(&refused));
        assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    }
    let mut session = fixture.stage();
    session.batch_execute("begin read only").expect("begin");
    assert_eq!(refusal(replay(&mut session)).code().code(), "25006");
}
