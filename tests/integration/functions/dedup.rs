//! `dedup`: rows that came twice go, by id, in committed steps, and nothing else does.

use crate::fixture::{DEDUP, Fixture, Pull, Rows, dedup, refusal, try_dedup, whole_text};

/// A fixture with no source rows whose target holds what `insert` inserts.
fn fixture_holding(insert: &str) -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_stage(&format!("insert into pipeline.aidt_raw (id, \"timestamp\", flag) {insert}"));
    fixture
}

fn assert_refused(fixture: &Fixture, call: &str, sqlstate: &str, said: &str) {
    let before = fixture.target_rows();
    let refused = refusal(fixture.stage().query(&format!("select {call}"), &[]));
    assert_eq!(refused.code().code(), sqlstate, "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains(said), "{said:?} in {}", whole_text(&refused));
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    assert_eq!(fixture.target_rows(), before);
}

#[test]
fn what_a_second_pull_brought_again_goes() {
    let fixture = Fixture::with(&Rows::of(3_000).ties(4).nulls_every(5));
    fixture.pull_all();
    Pull::everything().again().run(&mut fixture.stage());
    assert_eq!(fixture.target_rows(), 6_000);
    assert_eq!(dedup(&mut fixture.stage()), 3_000);
    fixture.assert_all_rows();
    assert_eq!(dedup(&mut fixture.stage()), 0, "a second call finds nothing");
    fixture.assert_nothing_left_running();
}

#[test]
fn the_earliest_of_several_timestamps_and_partitions_stays() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_stage(
        "create table pipeline.parted (like pipeline.aidt_raw including defaults) partition by range (\"timestamp\");
         create table pipeline.april partition of pipeline.parted for values from ('2025-04-01') to ('2025-05-01');
         create table pipeline.march partition of pipeline.parted for values from ('2025-03-01') to ('2025-04-01');
         create table pipeline.rest partition of pipeline.parted default;
         drop table pipeline.aidt_raw;
         alter table pipeline.parted rename to aidt_raw;
         insert into pipeline.aidt_raw (id, \"timestamp\", flag)
         select md5(id)::uuid, at::timestamptz, flag
         from (values ('a', '2025-06-07 00:00+00', '-'), ('a', '2025-04-02 00:00+00', '-'), ('a', '2025-03-03 00:00+00', 'k'),
                      ('b', '2025-04-05 00:00+00', '-'), ('b', '2025-04-04 00:00+00', 'k'), ('b', '2025-04-05 00:00+00', '-'),
                      ('c', '2025-07-01 00:00+00', 'k'), ('c', '2025-07-01 00:00+00', '-'), ('d', '2025-03-09 00:00+00', 'k'))
              as v (id, at, flag)",
    );
    assert_eq!(dedup(&mut fixture.stage()), 5);
    let kept = "select string_agg(flag, '' order by id) from pipeline.aidt_raw";
    assert_eq!(fixture.stage_value(kept), "kkkk");
    fixture.assert_each_id_once();
}

#[test]
fn rows_outside_the_period_are_neither_counted_nor_removed() {
    let fixture = fixture_holding(
        "select md5('x')::uuid, at::timestamptz, 'N'
         from unnest(array['2025-04-01 00:00+00', '2025-04-02 00:00+00', '2025-04-03 00:00+00']) at",
    );
    let call = |from: &str, to: &str| {
        fixture.stage_value(&format!("select lrs_extract.dedup('{from}', '{to}')"))
    };
    assert_eq!(call("2025-04-02 00:00+00", "2025-04-03 00:00+00"), "0");
    assert_eq!(call("2025-04-01 00:00+00", "2025-04-03 00:00+00"), "1");
    assert_eq!(call("-infinity", "infinity"), "1");
    let left = "select \"timestamp\" = '2025-04-01 00:00+00' from pipeline.aidt_raw";
    assert_eq!(fixture.stage_value(left), "true");
}

#[test]
fn rows_without_an_id_are_never_doubles() {
    let fixture = fixture_holding(
        "select null, '2025-04-01 00:00+00'::timestamptz, 'N' from generate_series(1, 50)",
    );
    assert_eq!(dedup(&mut fixture.stage()), 0);
    assert_eq!(fixture.target_rows(), 50);
}

#[test]
fn each_step_is_told_with_the_count_so_far() {
    let fixture = Fixture::of_pairs(21_000);
    let (mut session, notices) = fixture.stage_with_notices();
    assert_eq!(dedup(&mut session), 21_000);
    let told: Vec<String> =
        notices.all().iter().filter_map(|n| n.split(' ').nth(1).map(str::to_owned)).collect();
    assert_eq!(told, ["10000", "20000", "21000"], "{:?}", notices.all());
    fixture.assert_each_id_once();
}

#[test]
fn hostile_names_and_types_of_ones_own_do_not_matter() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_stage(
        r#"create domain pipeline."moment {id}" as timestamptz;
           create table pipeline."a {id} ""b""" ("id {target}" text, "at ""{timestamp}" pipeline."moment {id}");
           insert into pipeline."a {id} ""b""" select 'x', '2025-04-01 00:00+00' from generate_series(1, 7);
           update lrs_extract.pipeline set target_table = 'pipeline."a {id} ""b"""',
             mapping = '{"id {target}": {"path": ["id"]}, "at \"{timestamp}": {"source": "timestamp"}}'"#,
    );
    assert_eq!(dedup(&mut fixture.stage()), 6);
}

#[test]
fn a_function_in_the_callers_search_path_is_not_called() {
    let fixture = Fixture::of_pairs(20);
    let mut session = fixture.stage();
    session
        .batch_execute(
            "create schema trap;
             create function trap.eq(tid, tid) returns boolean language plpgsql as
                 $$ begin raise exception 'trapped'; end $$;
             create function trap.ge(timestamptz, timestamptz) returns boolean language plpgsql as
                 $$ begin raise exception 'trapped'; end $$;
             create function trap.row_number() returns bigint language plpgsql as
                 $$ begin raise exception 'trapped'; end $$;
             create operator trap.= (function = trap.eq, leftarg = tid, rightarg = tid);
             create operator trap.>= (function = trap.ge, leftarg = timestamptz, rightarg = timestamptz);
             set search_path = trap, pg_catalog",
        )
        .expect("the trap");
    assert_eq!(dedup(&mut session), 20);
}

#[test]
fn triggers_of_the_target_find_what_the_callers_search_path_holds() {
    let fixture = Fixture::of_pairs(3);
    fixture.on_stage(
        "create table pipeline.gone (id uuid);
         create function pipeline.note() returns trigger language plpgsql as
             'begin insert into gone values (old.id); return null; end';
         create trigger note after delete on pipeline.aidt_raw for each row execute function pipeline.note()",
    );
    let mut session = fixture.stage();
    session.batch_execute("set search_path = pipeline").expect("set");
    assert_eq!(dedup(&mut session), 3);
    assert_eq!(fixture.stage_value("select count(*) from pipeline.gone"), "3");
}

#[test]
fn select_and_delete_on_the_target_are_enough() {
    let fixture = Fixture::of_pairs(10);
    fixture.on_stage(&format!("revoke temporary on database {} from public", fixture.db));
    assert_eq!(dedup(&mut fixture.recorder("select, delete")), 10);
}

#[test]
fn without_select_or_delete_on_the_target_it_is_refused() {
    for privileges in ["select", "delete", "insert, update"] {
        let fixture = Fixture::of_pairs(10);
        let refused = refusal(try_dedup(&mut fixture.recorder(privileges)));
        assert_eq!(refused.code().code(), "42501", "{privileges}: {}", whole_text(&refused));
        assert!(whole_text(&refused).contains("aidt_raw"), "{}", whole_text(&refused));
        assert_eq!(fixture.target_rows(), 20);
    }
}

#[test]
fn rows_that_the_role_may_not_see_are_no_doubles() {
    let fixture = Fixture::of_pairs(10);
    let mut session = fixture.recorder("select, delete");
    fixture.on_stage(
        "alter table pipeline.aidt_raw enable row level security;
         create policy second on pipeline.aidt_raw using (flag = '2')",
    );
    assert_eq!(dedup(&mut session), 0);
    assert_eq!(fixture.target_rows(), 20);
}

#[test]
fn two_calls_in_one_select_list_come_one_after_the_other() {
    let fixture = Fixture::of_pairs(30);
    let row = fixture.stage().query_one(&format!("select {DEDUP}, {DEDUP}"), &[]);
    let row = row.expect("two counts");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (30, 0));
}

#[test]
fn a_read_only_transaction_refuses_it() {
    let fixture = Fixture::of_pairs(3);
    let mut session = fixture.stage();
    session.batch_execute("begin read only").expect("begin");
    assert_eq!(refusal(try_dedup(&mut session)).code().code(), "25006");
}

#[test]
fn wrong_arguments_are_refused_with_a_hint() {
    let fixture = Fixture::of_pairs(3);
    assert_refused(&fixture, "lrs_extract.dedup(null, '2025-08-01')", "22004", "from");
    assert_refused(&fixture, "lrs_extract.dedup('2025-08-01', '2025-03-01')", "22023", "period");
    assert_refused(
        &fixture,
        "lrs_extract.dedup('2025-03-01', '2025-08-01', null)",
        "22004",
        "pipeline",
    );
    assert_refused(
        &fixture,
        "lrs_extract.dedup('2025-03-01', '2025-08-01', 'no')",
        "42704",
        "aidt",
    );
}

#[test]
fn a_mapping_that_keeps_no_id_or_timestamp_is_refused_with_the_way_out() {
    for (mapping, said) in [
        (
            r#"{"id": {"path": ["id2"]}, "timestamp": {"source": "timestamp"}}"#,
            r#"{"path": ["id"]}"#,
        ),
        (
            r#"{"id": {"path": ["id"], "default": "x"}, "timestamp": {"source": "timestamp"}}"#,
            "default",
        ),
        (
            r#"{"id": {"path": ["id"]}, "timestamp": {"path": ["timestamp"]}}"#,
            r#"{"source": "timestamp"}"#,
        ),
        (r#"{"id": {"path": ["id"]}, "user_id": {"source": "timestamp"}}"#, "timestamptz"),
    ] {
        let fixture = Fixture::of_pairs(3);
        fixture.on_stage(&format!("update lrs_extract.pipeline set mapping = '{mapping}'"));
        assert_refused(&fixture, DEDUP, "0A000", said);
    }
}

#[test]
fn targets_whose_rows_have_no_place_are_refused() {
    let fixture = Fixture::of_pairs(3);
    fixture.on_stage("create view pipeline.seen as select * from pipeline.aidt_raw");
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.seen'");
    assert_refused(&fixture, DEDUP, "0A000", "pipeline.seen");
    fixture.on_stage(
        "create table pipeline.parted (like pipeline.aidt_raw) partition by range (\"timestamp\");
         create foreign table pipeline.far partition of pipeline.parted
             for values from ('2025-03-01') to ('2025-04-01') server lrs_source;
         update lrs_extract.pipeline set target_table = 'pipeline.parted'",
    );
    assert_refused(&fixture, DEDUP, "0A000", "pipeline.far");
}
