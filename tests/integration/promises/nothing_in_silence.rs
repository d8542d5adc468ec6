//! Rows that cannot arrive, or would arrive elsewhere or otherwise than the caller means, are told of.

use postgres::Client;

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

const ROWS: i64 = 300;

fn fixture() -> Fixture {
    Fixture::with(&Rows::of(ROWS))
}

/// A session that has a temporary table of the target's name and looks first where the target is.
fn session_with_a_shadow(fixture: &Fixture) -> Client {
    let mut stage = fixture.stage();
    stage
        .batch_execute(
            "set search_path = pipeline;
             create temp table aidt_raw (like pipeline.aidt_raw including defaults)",
        )
        .expect("a temporary table");
    stage
}

#[test]
fn a_temporary_target_is_refused_where_workers_write_and_filled_where_the_caller_does() {
    for name in ["aidt_raw", "pg_temp.aidt_raw"] {
        let fixture = fixture();
        fixture.on_stage(&format!("update lrs_extract.pipeline set target_table = '{name}'"));
        let mut stage = session_with_a_shadow(&fixture);
        for commit in ["batch", "slice"] {
            let refused = refusal(Pull::everything().commit(commit).try_run(&mut stage));
            assert_eq!(refused.code().code(), "0A000", "{}", whole_text(&refused));
            assert!(whole_text(&refused).contains("temporary"), "{}", whole_text(&refused));
        }
        assert_eq!(Pull::everything().commit("caller").run(&mut stage).rows, ROWS);
        let count = stage.query_one("select count(*) from pg_temp.aidt_raw", &[]).expect("a count");
        assert_eq!(count.get::<_, i64>(0), ROWS);
        assert_eq!(fixture.stage_value("select count(*) from pipeline.aidt_raw"), "0");
    }
}

#[test]
fn a_shadow_of_the_target_takes_no_row() {
    for commit in ["batch", "slice", "caller"] {
        let fixture = fixture();
        let mut stage = session_with_a_shadow(&fixture);
        assert_eq!(Pull::everything().commit(commit).run(&mut stage).rows, ROWS);
        fixture.assert_all_rows();
    }
}

#[test]
fn dates_of_another_time_zone_are_told_as_the_instants_that_they_are() {
    let fixture = fixture();
    let calls = ["plan", "pull", "verify", "dedup", "replay", "forget"];
    let told = |zone: &str, from: &str| {
        let (mut stage, notices) = fixture.stage_with_notices();
        stage.batch_execute(&format!("set timezone = '{zone}'")).expect("a zone");
        for call in calls {
            let sql = format!("select count(*) from lrs_extract.{call}('{from}', '2025-08-01')");
            stage.query_one(&sql, &[]).expect(call);
        }
        notices.all().into_iter().filter(|n| n.contains("time zone")).collect::<Vec<_>>()
    };
    let seoul = told("Asia/Seoul", "2025-03-01");
    assert_eq!(seoul.len(), calls.len(), "{seoul:?}");
    let instants = "from 2025-02-28 15:00:00 to 2025-07-31 15:00:00 UTC";
    assert!(seoul.iter().all(|n| n.contains(instants) && n.contains("Asia/Seoul")), "{seoul:?}");
    assert_eq!(told("UTC", "2025-03-01"), Vec::<String>::new());
    assert_eq!(told("Asia/Seoul", "2025-03-01 12:00+00").len(), calls.len(), "by its other end");
    let (mut stage, notices) = fixture.stage_with_notices();
    let utc =
        "set timezone = 'Asia/Seoul'; select lrs_extract.forget('2025-03-01 00:00+00', 'infinity')";
    stage.batch_execute(utc).expect("instants");
    assert_eq!(notices.all(), Vec::<String>::new());
}

#[test]
fn dedup_and_replay_refuse_a_temporary_target() {
    let fixture = fixture();
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pg_temp.aidt_raw'");
    let mut stage = session_with_a_shadow(&fixture);
    for function in ["dedup", "replay"] {
        let call = format!("select * from lrs_extract.{function}('2025-03-01', '2025-08-01')");
        let refused = refusal(stage.query(&call, &[]));
        assert_eq!(refused.code().code(), "0A000", "{function}: {}", whole_text(&refused));
    }
}

/// A policy shows the rows of some actors only.
fn hide_rows(fixture: &Fixture) {
    fixture.on_source(
        "alter table acid.lrs_statement_new enable row level security;
         create policy filter on acid.lrs_statement_new using (actor_id % 2 = 0)",
    );
}

#[test]
fn a_source_whose_policies_hide_rows_is_refused() {
    for walk in ["auto", "key", "heap"] {
        let fixture = fixture();
        hide_rows(&fixture);
        fixture.on_stage(&format!("update lrs_extract.pipeline set walk = '{walk}'"));
        let mut stage = fixture.stage();
        for call in ["plan", "pull", "verify"] {
            let call = format!("select * from lrs_extract.{call}('2025-03-01', '2025-08-01')");
            let refused = refusal(stage.query(&call, &[]));
            assert_eq!(refused.code().code(), "42501", "{call}: {}", whole_text(&refused));
            let said = whole_text(&refused);
            assert!(said.contains("bypassrls") && !said.contains("grant select"), "{call}: {said}");
        }
        let role = format!("{}_free", fixture.db);
        fixture.on_source(&format!(
            "create role {role} login bypassrls password 'secret' in role reader"
        ));
        fixture.on_stage(&format!(
            "alter user mapping for current_user server lrs_source options (set user '{role}', set password 'secret')"
        ));
        let pulled = Pull::everything().run(&mut fixture.stage()).rows;
        assert_eq!(pulled, ROWS);
        fixture.assert_all_rows();
    }
}

#[test]
fn policies_filter_where_that_was_asked_for() {
    let fixture = fixture();
    hide_rows(&fixture);
    fixture.on_stage("alter server lrs_source options (add row_security 'on')");
    let shown = "select count(*) from acid.lrs_statement_new where actor_id % 2 = 0";
    let shown: i64 = fixture.source_value(shown).parse().expect("a count");
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, shown);
}

#[test]
fn settings_of_the_callers_session_reach_the_workers() {
    let fixture = fixture();
    fixture.on_stage(
        "update lrs_extract.pipeline set mapping = mapping - 'partner_id';
         alter table pipeline.aidt_raw alter partner_id set default current_setting('app.load_id', true);
         create function pipeline.refuse() returns trigger language plpgsql as
             $$ begin raise exception 'this trigger is for others'; end $$;
         create trigger refuse before insert on pipeline.aidt_raw
             for each row execute function pipeline.refuse();
         create table pipeline.seen (name text, value text);
         create function pipeline.note() returns trigger language plpgsql as
             $$ begin
                 insert into pipeline.seen select name, current_setting(name)
                   from unnest('{lock_timeout,row_security,work_mem,timezone,lc_monetary,search_path}'::text[]) name;
                 return null;
             end $$;
         create trigger note after insert on pipeline.aidt_raw
             for each statement execute function pipeline.note();
         alter table pipeline.aidt_raw enable always trigger note",
    );
    for commit in ["batch", "caller"] {
        let mut stage = fixture.stage();
        stage
            .batch_execute(
                "truncate pipeline.aidt_raw, pipeline.seen;
                 select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt');
                 set app.load_id = 'L''42';
                 set session_replication_role = replica;
                 set lock_timeout = '1234ms';
                 set row_security = off;
                 set work_mem = '5MB';
                 set timezone = 'Asia/Seoul';
                 set lc_monetary = 'C';
                 set search_path = pipeline, \"A b\"",
            )
            .expect("settings");
        assert_eq!(Pull::everything().commit(commit).run(&mut stage).rows, ROWS, "{commit}");
        let ids = "select string_agg(distinct partner_id, ',') from pipeline.aidt_raw";
        assert_eq!(fixture.stage_value(ids), "L'42", "{commit}");
        let seen = "select string_agg(distinct name || '=' || value, ' ' order by name || '=' || value) from pipeline.seen";
        assert_eq!(
            fixture.stage_value(seen),
            "lc_monetary=C lock_timeout=1234ms row_security=off search_path=pipeline, \"A b\" timezone=Asia/Seoul work_mem=5MB",
            "{commit}"
        );
    }
}

#[test]
fn limits_of_the_role_on_the_source_stand_where_they_are_stricter() {
    let fixture = fixture();
    let role = format!("{}_limited", fixture.db);
    fixture.on_source(&format!(
        "create role {role} login password 'secret' in role reader;
         alter role {role} set statement_timeout = '7s';
         alter role {role} set lock_timeout = '0';
         alter role {role} set idle_in_transaction_session_timeout = '1d'"
    ));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{role}', set password 'secret');
         alter server lrs_source options (add statement_timeout '1min', add lock_timeout '3s');
         update lrs_extract.pipeline set pause_while = $$
             select 1 / (current_setting('statement_timeout') = '7s'
                         and current_setting('lock_timeout') = '3s'
                         and current_setting('idle_in_transaction_session_timeout') = '1min')::int = 0 $$"
    ));
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, ROWS);
}

/// The words of the warnings of a call.
fn warnings_of(fixture: &Fixture, call: &str) -> String {
    let (mut stage, notices) = fixture.stage_with_notices();
    stage.query(call, &[]).expect(call);
    let said: Vec<String> =
        notices.all().into_iter().filter(|notice| notice.starts_with("WARNING")).collect();
    said.join("\n")
}

#[test]
fn rows_without_a_finite_timestamp_are_told_of() {
    let fixture = fixture();
    fixture.on_source(
        "alter table acid.lrs_statement_new alter \"timestamp\" drop not null;
         create table acid.lrs_statement_rest partition of acid.lrs_statement_new default;
         insert into acid.lrs_statement_rest select null, '{}', n from generate_series(1, 3) n;
         insert into acid.lrs_statement_rest values ('infinity', '{}', 1), ('-infinity', '{}', 1)",
    );
    for call in ["plan", "pull", "verify"] {
        let call = format!("select * from lrs_extract.{call}('2025-03-01', '2025-08-01')");
        let said = warnings_of(&fixture, &call);
        let expected = "acid.lrs_statement_new holds 3 rows without a timestamp, 1 row at '-infinity', 1 row at 'infinity'";
        assert!(said.contains(expected), "{call}: {said:?}");
    }
    fixture.on_source("delete from acid.lrs_statement_rest");
    let call = "select * from lrs_extract.plan('2025-03-01', '2025-08-01')";
    assert_eq!(warnings_of(&fixture, call), "");
}

#[test]
fn rows_of_a_plain_table_without_a_finite_timestamp_are_told_of() {
    let fixture = fixture();
    fixture.on_source(
        "create table acid.plain as select * from acid.lrs_statement_new;
         insert into acid.plain select null, '{}', n from generate_series(1, 10001) n;
         create index on acid.plain (\"timestamp\", actor_id);
         grant select on acid.plain to reader;
         analyze acid.plain",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.plain'");
    let call = "select * from lrs_extract.pull('2025-03-01', '2025-08-01')";
    let said = warnings_of(&fixture, call);
    assert!(said.contains("more than 10000 rows without a timestamp"), "{said:?}");
    assert_eq!(fixture.stage_value("select count(*) from pipeline.aidt_raw"), ROWS.to_string());
}

/// A view whose actors are this expression.
fn fixture_with_actors(expression: &str) -> Fixture {
    let fixture = fixture();
    fixture.on_source(&format!(
        "create view acid.numbered as
             select \"timestamp\", full_statement, ({expression})::bigint as actor_id from acid.lrs_statement_new;
         grant select on acid.numbered to reader"
    ));
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.numbered'");
    fixture
}

#[test]
fn keys_of_a_window_function_are_refused() {
    let fixture = fixture_with_actors("row_number() over (order by \"timestamp\")");
    for call in ["plan", "pull"] {
        let call = format!("select * from lrs_extract.{call}('2025-03-01', '2025-08-01')");
        let refused = refusal(fixture.stage().query(&call, &[]));
        assert_eq!(refused.code().code(), "0A000", "{}", whole_text(&refused));
    }
}

#[test]
fn a_window_function_that_serves_a_filter_is_no_key() {
    let fixture = fixture();
    fixture.on_source(
        "create view acid.first_ones as
             select \"timestamp\", full_statement, actor_id
               from (select *, row_number() over (partition by full_statement ->> 'serial'
                                                  order by \"timestamp\", actor_id) as nth
                       from acid.lrs_statement_new) numbered
              where nth = 1;
         grant select on acid.first_ones to reader",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.first_ones'");
    assert_eq!(Pull::everything().batch(50).run(&mut fixture.stage()).rows, ROWS);
    fixture.assert_all_rows();
}

#[test]
fn settings_that_a_session_ignores_stop_no_worker() {
    let fixture = fixture();
    fixture.on_stage(&format!("alter database {} set temp_tablespaces = 'nowhere'", fixture.db));
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, ROWS);
}

#[test]
fn keys_that_change_from_page_to_page_end_the_run() {
    let fixture = fixture_with_actors("extract(epoch from clock_timestamp()) * 1000000");
    fixture.on_source("update acid.lrs_statement_new set \"timestamp\" = '2025-04-01 12:00+00'");
    let refused = refusal(Pull::everything().batch(200).try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("where it has 300"), "{}", whole_text(&refused));
}

#[test]
fn a_view_whose_columns_depend_on_their_own_row_is_pulled() {
    let fixture = fixture_with_actors("coalesce(actor_id, 0) * 2");
    assert_eq!(Pull::everything().batch(50).run(&mut fixture.stage()).rows, ROWS);
    fixture.assert_all_rows();
}

#[test]
fn further_columns_arrive_whole_whatever_the_role_has_set() {
    let fixture = fixture();
    let role = format!("{}_styled", fixture.db);
    fixture.on_source(&format!(
        "alter table acid.lrs_statement_new add score float8 default 0.1::float8 + 0.2,
             add took interval default '-3 days -04:05:06', add raw bytea default '\\xc3a9';
         create role {role} login password 'secret' in role reader;
         alter role {role} set extra_float_digits = 0;
         alter role {role} set intervalstyle = 'sql_standard';
         alter role {role} set bytea_output = 'escape'"
    ));
    fixture.on_stage(&format!(
        "alter table pipeline.aidt_raw add score float8, add took interval, add raw bytea;
         alter user mapping for current_user server lrs_source options (set user '{role}', set password 'secret');
         update lrs_extract.pipeline set mapping = mapping ||
             '{{\"score\": {{\"source\": \"score\"}}, \"took\": {{\"source\": \"took\"}}, \"raw\": {{\"source\": \"raw\"}}}}'"
    ));
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, ROWS);
    let whole = "select count(*) from pipeline.aidt_raw
                  where score = 0.1::float8 + 0.2 and took = interval '-3 days -04:05:06' and raw = '\\xc3a9'";
    assert_eq!(fixture.stage_value(whole), ROWS.to_string());
}

#[test]
fn names_are_the_same_whether_all_identifiers_are_quoted_or_not() {
    let fixture = fixture();
    fixture.on_source(&format!("alter database {} set quote_all_identifiers = on", fixture.db));
    fixture.on_stage(&format!("alter database {} set quote_all_identifiers = on", fixture.db));
    fixture.pull_all();
    let names =
        "select distinct r.target || ' ' || (select min(s.partition) from lrs_extract.slice s)
                   from lrs_extract.run r";
    assert_eq!(
        fixture.stage_value(names),
        "pipeline.aidt_raw acid.lrs_statement_2025_03".to_owned()
    );
    fixture.assert_all_rows();
}

/// A row whose only value is its key has no bytes to be counted.
#[test]
fn rows_without_a_statement_arrive_though_a_batch_has_no_others() {
    for commit in ["batch", "slice", "caller"] {
        let fixture = Fixture::with(&Rows::of(0));
        fixture.on_source(
            "create table acid.bare (\"timestamp\" timestamptz not null, full_statement jsonb, actor_id bigint);
             create index on acid.bare (\"timestamp\", actor_id);
             insert into acid.bare
             select '2025-04-01 00:00+00'::timestamptz + n * interval '1 day', null, n from generate_series(1, 25) n;
             grant select on acid.bare to reader",
        );
        fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.bare'");
        for batch in [10, 1] {
            fixture.on_stage(
                "truncate pipeline.aidt_raw; select lrs_extract.forget('2025-03-01', '2025-08-01')",
            );
            Pull::everything().batch(batch).commit(commit).run(&mut fixture.stage());
            assert_eq!(fixture.target_rows(), 25, "{commit}, {batch}");
        }
    }
}
