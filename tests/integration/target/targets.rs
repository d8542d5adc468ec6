//! The load is an INSERT: whatever a table does with INSERTs it does with a pull's rows.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

const ROWS: i64 = 1_500;

/// A fixture whose target was changed by `sql` before the pull.
fn pulled_after(sql: &str) -> Fixture {
    let fixture = Fixture::with(&Rows::of(ROWS).ties(2).nulls_every(3));
    fixture.on_stage(sql);
    Pull::everything().batch(100).run(&mut fixture.stage());
    fixture
}

#[test]
fn row_triggers_fire() {
    let fixture = pulled_after(
        "create function pipeline.stamp() returns trigger language plpgsql as
             'begin new.flag := ''T''; return new; end';
         create trigger stamp before insert on pipeline.aidt_raw
             for each row execute function pipeline.stamp()",
    );
    assert_eq!(
        fixture.stage_value("select count(*) from pipeline.aidt_raw where flag = 'T'"),
        "1500"
    );
}

#[test]
fn a_trigger_that_takes_rows_away_loses_only_them() {
    let fixture = pulled_after(
        "create function pipeline.pick() returns trigger language plpgsql as
             'begin if (new.\"statement\" ->> ''serial'')::int % 2 = 0 then return null; end if; return new; end';
         create trigger pick before insert on pipeline.aidt_raw
             for each row execute function pipeline.pick()",
    );
    assert_eq!(fixture.target_rows(), ROWS / 2);
}

/// Pulls with a trigger or a rule that `sql` makes, which lets no row through.
fn assert_told_that_all_rows_were_taken_away(commit: &'static str, sql: &str) {
    let fixture = Fixture::with(&Rows::of(ROWS));
    fixture.on_stage(sql);
    let (mut stage, notices) = fixture.stage_with_notices();
    assert_eq!(Pull::everything().batch(400).commit(commit).run(&mut stage).rows, 0);
    let said = notices.all();
    let warned =
        |n: &&String| n.starts_with("WARNING") && n.contains("neither inserted nor rejected");
    assert_eq!(said.iter().filter(warned).count(), 1, "{said:#?}");
    let counts =
        "select format('%s %s %s %s', state, rows_read, rows, rejected) from lrs_extract.runs";
    assert_eq!(fixture.stage_value(counts), format!("done {ROWS} 0 0"));
    for told in ["select advice from lrs_extract.bottleneck", "select lrs_extract.report(1)"] {
        let told = fixture.stage_value(told);
        assert!(told.contains("took") && told.contains("rows away"), "{told}");
        assert!(!told.contains("the source had no rows"), "{told}");
    }
}

#[test]
fn rows_that_a_trigger_takes_away_are_told_of() {
    for commit in ["batch", "slice", "caller"] {
        assert_told_that_all_rows_were_taken_away(
            commit,
            "create function pipeline.pick() returns trigger language plpgsql as
                 'begin return null; end';
             create trigger pick before insert on pipeline.aidt_raw
                 for each row execute function pipeline.pick()",
        );
    }
}

#[test]
fn rows_that_a_rule_takes_away_are_told_of() {
    assert_told_that_all_rows_were_taken_away(
        "batch",
        "create rule pick as on insert to pipeline.aidt_raw do instead nothing",
    );
}

#[test]
fn generated_columns_are_generated() {
    let fixture = pulled_after(
        "alter table pipeline.aidt_raw add verb text
             generated always as (\"statement\" #>> '{verb,id}') stored",
    );
    let verbs = "select count(*) from pipeline.aidt_raw where verb = 'http://adlnet.gov/expapi/verbs/answered'";
    assert_eq!(fixture.stage_value(verbs), "1500");
    fixture.assert_all_rows();
}

#[test]
fn identity_columns_count() {
    let fixture = pulled_after(
        "alter table pipeline.aidt_raw add row_no bigint generated always as identity",
    );
    assert_eq!(fixture.stage_value("select count(distinct row_no) from pipeline.aidt_raw"), "1500");
}

#[test]
fn a_partitioned_target_routes_its_rows() {
    let fixture = pulled_after(
        "create table pipeline.parted (like pipeline.aidt_raw including defaults) partition by range (\"timestamp\");
         create table pipeline.spring partition of pipeline.parted for values from ('2025-03-01') to ('2025-06-01');
         create table pipeline.rest partition of pipeline.parted default;
         drop table pipeline.aidt_raw;
         alter table pipeline.parted rename to aidt_raw",
    );
    fixture.assert_all_rows();
    assert_ne!(fixture.stage_value("select count(*) from pipeline.rest"), "0");
}

#[test]
fn dropped_and_reordered_columns_do_not_matter() {
    let fixture = pulled_after(
        "drop table pipeline.aidt_raw;
         create table pipeline.aidt_raw (
             gone text, \"timestamp\" timestamp with time zone, gone_too jsonb, partner_id text,
             flag char(1) default 'N', \"statement\" jsonb, object_type text, user_id text,
             inserted_at timestamptz default current_timestamp, id uuid);
         alter table pipeline.aidt_raw drop gone, drop gone_too",
    );
    fixture.assert_all_rows();
}

#[test]
fn a_text_or_json_statement_column_takes_the_statement() {
    for kind in ["text", "json"] {
        let fixture = Fixture::with(&Rows::of(200));
        fixture.on_stage(&format!(
            "alter table pipeline.aidt_raw alter \"statement\" type {kind} using \"statement\"::text::{kind}"
        ));
        fixture.pull_all();
        fixture.on_stage("alter table pipeline.aidt_raw alter \"statement\" type jsonb using \"statement\"::jsonb");
        fixture.assert_all_rows();
    }
}

#[test]
fn indexes_and_satisfied_constraints_do_not_matter() {
    let fixture = pulled_after(
        "create unique index on pipeline.aidt_raw (id);
         create index on pipeline.aidt_raw using gin (\"statement\");
         alter table pipeline.aidt_raw add check (flag = 'N'), alter \"timestamp\" set not null",
    );
    fixture.assert_all_rows();
}

#[test]
fn a_domain_over_the_columns_type_is_checked() {
    let fixture = Fixture::with(&Rows::of(140));
    fixture.on_stage(
        "create domain pipeline.pupil as varchar check (value like 'pupil %');
         alter table pipeline.aidt_raw alter user_id type pipeline.pupil;
         update lrs_extract.pipeline set retries = 0",
    );
    match Pull::everything().try_run(&mut fixture.stage()) {
        Ok(pulled) => assert_eq!(pulled.rows + pulled.rejected, 140),
        Err(error) => assert_eq!(refusal::<()>(Err(error)).code().code(), "23514"),
    }
}

/// A fixture whose target takes nothing from the middle of June on.
fn fixture_with_an_early_end() -> Fixture {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.on_stage(
        "alter table pipeline.aidt_raw add constraint early check (\"timestamp\" < '2025-06-15')",
    );
    fixture
}

#[test]
fn a_row_that_breaks_a_constraint_is_rejected_with_the_constraints_words() {
    let fixture = fixture_with_an_early_end();
    let pulled = Pull::everything().batch(50).run(&mut fixture.stage());
    assert!(pulled.rejected > 0 && pulled.rows + pulled.rejected == 1_000, "{pulled:?}");
    let said =
        "select bool_and(sqlstate = '23514' and message like '%early%') from lrs_extract.reject";
    assert_eq!(fixture.stage_value(said), "true");
    fixture.assert_all_rows();
}

#[test]
fn a_row_that_breaks_a_constraint_ends_the_run_where_bad_values_do_and_the_batches_before_it_stay()
{
    let fixture = fixture_with_an_early_end();
    fixture.on_stage("update lrs_extract.pipeline set on_bad_value = 'abort'");
    let refused = refusal(Pull::everything().batch(50).jobs(1).try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "23514", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("early"), "{}", whole_text(&refused));
    assert!(fixture.target_rows() > 0, "the batches before it stay");
    fixture.on_stage("alter table pipeline.aidt_raw drop constraint early");
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn an_error_of_a_trigger_ends_the_run_in_its_own_words() {
    let fixture = Fixture::with(&Rows::of(100));
    fixture.on_stage(
        "create function pipeline.refuse() returns trigger language plpgsql as
             'begin raise exception ''not on my watch'' using errcode = ''55P02''; end';
         create trigger refuse before insert on pipeline.aidt_raw
             for each row execute function pipeline.refuse()",
    );
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55P02", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("not on my watch"), "{}", whole_text(&refused));
    assert_eq!(fixture.last_run_state(), "failed");
}

#[test]
fn stored_values_are_the_bytes_that_an_insert_would_have_stored() {
    let fixture = pulled_after("alter table pipeline.aidt_raw alter user_id type text");
    fixture.on_stage(
        "create table pipeline.plain (like pipeline.aidt_raw);
         insert into pipeline.plain select id, user_id, object_type, \"statement\"::text::jsonb, \"timestamp\",
             inserted_at, flag, partner_id from pipeline.aidt_raw",
    );
    let sizes = |table: &str| {
        fixture.stage_value(&format!(
            "select md5(string_agg(pg_column_size(\"statement\")::text, ',' order by id)) from {table}"
        ))
    };
    assert_eq!(sizes("pipeline.aidt_raw"), sizes("pipeline.plain"));
}

#[test]
fn statements_that_are_compressed_take_the_room_that_an_insert_would_have_taken() {
    let fixture = Fixture::of_growing_statements();
    fixture.pull_all();
    fixture.assert_all_rows();
    fixture.on_stage(
        "create table pipeline.plain (id uuid, user_id varchar, object_type varchar, \"statement\" jsonb);
         insert into pipeline.plain select id, user_id, object_type, \"statement\"::text::jsonb from pipeline.aidt_raw",
    );
    // Compressors of one format find different matches: what counts is the room.
    let room =
        "select sum(pg_column_size(r.\"statement\")) <= 1.05 * sum(pg_column_size(p.\"statement\"))
                from pipeline.plain p join pipeline.aidt_raw r using (id)";
    assert_eq!(fixture.stage_value(room), "true");
    let differing = "select count(*) from pipeline.plain p join pipeline.aidt_raw r using (id)
                     where p.\"statement\" is distinct from r.\"statement\"
                        or hashtextextended(p.\"statement\"::text, 1) <> hashtextextended(r.\"statement\"::text, 1)
                        or jsonb_hash(p.\"statement\") <> jsonb_hash(r.\"statement\")";
    assert_eq!(fixture.stage_value(differing), "0");
}

#[test]
fn a_row_that_breaks_a_deferred_constraint_is_rejected_alone() {
    for commit in ["batch", "slice"] {
        let fixture = Fixture::with(&Rows::of(1_000));
        fixture.on_source(
            "update acid.lrs_statement_new
                set full_statement = jsonb_set(full_statement, '{id}',
                        '\"00000000-0000-0000-0000-00000000d0b1\"')
              where actor_id in (17, 18, 517, 518)",
        );
        fixture.on_stage(
            "alter table pipeline.aidt_raw add unique (id) deferrable initially deferred",
        );
        let pulled = Pull::everything().batch(100).commit(commit).run(&mut fixture.stage());
        let doubled = fixture.source_value(
            "select count(*) - 1 from acid.lrs_statement_new
              where full_statement ->> 'id' = '00000000-0000-0000-0000-00000000d0b1'",
        );
        assert!(doubled.parse::<i64>().expect("a count") > 0);
        assert_eq!(pulled.rejected.to_string(), doubled, "{commit}");
        fixture.assert_all_rows();
        let codes = fixture
            .stage_value("select string_agg(distinct sqlstate, ' ') from lrs_extract.reject");
        assert_eq!(codes, "23505");
    }
}
