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
