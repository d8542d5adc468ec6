//! Targets as a distributed server makes them. It runs the SELECT of an INSERT … SELECT apart, hides what a
//! constraint says, and loses nodes. The library that is installed for tests can do the same to plain tables.

use postgres::Client;

use crate::fixture::{
    EVERYTHING, Fixture, Pair, Pull, Repair, Rows, ServerPlan, Version, refusal, whole_text,
};

/// A fixture whose sessions do to INSERT … SELECT what these settings say.
fn fixture_that(rows: &Rows, settings: &[&str]) -> Fixture {
    let fixture = Fixture::with(rows);
    settings.iter().for_each(|setting| fixture.stand_in(setting));
    fixture
}

fn rows() -> Rows {
    Rows::of(2_000).ties(5).actors_per_tie(2).nulls_every(4).odd_ids_every(100)
}

const APART: &str = "runs_select_apart";
const HIDING: &str = "hides_constraints";

/// The stand-in breaks what it is to break: a relation of the environment is not found.
fn assert_loses_relations(session: &mut Client) {
    session
        .batch_execute(
            "create function pg_temp.lose() returns trigger language plpgsql as $$ begin
               insert into pg_temp.copy select * from fresh; return null; end $$;
             create temp table copy (n int);
             create temp table original (n int);
             create trigger lose after insert on original referencing new table as fresh
               for each statement execute function pg_temp.lose();",
        )
        .expect("a transition table");
    let lost = refusal(session.batch_execute("insert into original values (1)"));
    assert!(lost.message().contains("could not find named tuplestore"), "{lost:?}");
}

#[test]
fn a_select_that_runs_apart_finds_the_rows_whatever_the_boundary() {
    for boundary in ["batch", "slice", "caller"] {
        let fixture = fixture_that(&rows(), &[APART]);
        let mut stage = fixture.stage();
        // It loads the library, by which the setting becomes one.
        stage.batch_execute("load 'lrs_extract'").expect("the library");
        assert_loses_relations(&mut stage);
        let pulled = Pull::everything().batch(300).commit(boundary).run(&mut stage);
        assert_eq!(pulled.rows + pulled.rejected, 2_000, "{boundary}");
        fixture.assert_all_rows();
        assert_eq!(Repair::by_hashes().run(&fixture).ranges, 0);
    }
}

#[test]
fn columns_of_any_type_keep_type_and_modifier_where_the_select_runs_apart() {
    let fixture = fixture_that(&Rows::of(500), &[APART]);
    fixture.on_stage(
        "create schema \"Odd types\";
         create domain \"Odd types\".\"Short, one\" as varchar(12);
         create type \"Odd types\".\"Ki nd\" as enum ('A', 'B');
         alter table pipeline.aidt_raw
           add \"Name, \"\"quoted\"\"\" \"Odd types\".\"Short, one\", add kind \"Odd types\".\"Ki nd\",
           add plain bpchar, add fixed char(3), add price numeric(7, 2), add span interval day to second(3),
           add tags text[], add bits bit(3), add moment timestamptz(3);
         update lrs_extract.pipeline set mapping = mapping || jsonb_build_object(
           'Name, \"quoted\"', '{\"const\": \"a name\"}'::jsonb, 'kind', '{\"const\": \"B\"}'::jsonb,
           'plain', '{\"const\": \"long enough\"}'::jsonb, 'fixed', '{\"const\": \"ab\"}'::jsonb,
           'price', '{\"const\": \"12.345\"}'::jsonb, 'span', '{\"const\": \"1 day 00:00:01.23456\"}'::jsonb,
           'tags', '{\"const\": \"{a,\\\"b c\\\"}\"}'::jsonb, 'bits', '{\"const\": \"101\"}'::jsonb,
           'moment', '{\"source\": \"timestamp\"}'::jsonb)",
    );
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, 500);
    let distinct = "select distinct concat_ws('|', \"Name, \"\"quoted\"\"\", kind, plain, fixed, price, span, tags, bits)
                      from pipeline.aidt_raw";
    assert_eq!(
        fixture.stage_value(distinct),
        "a name|B|long enough|ab |12.35|1 day 00:00:01.235|{a,\"b c\"}|101"
    );
    let rounded =
        "select count(*) from pipeline.aidt_raw where moment = \"timestamp\"::timestamptz(3)";
    assert_eq!(fixture.stage_value(rounded), "500");
    fixture.assert_all_rows();
}

#[test]
fn a_row_that_breaks_a_constraint_is_set_aside_where_its_sqlstate_is_hidden() {
    let fixture = fixture_that(&Rows::of(1_000).nulls_every(3), &[APART, HIDING]);
    fixture.on_stage(
        "alter table pipeline.aidt_raw add unique (id), add check (id is null or id::text !~ '^0');
         insert into pipeline.aidt_raw (id, flag)
         select (full_statement ->> 'id')::uuid, 'X' from (
           select jsonb_build_object('id', '11111111-1111-1111-1111-111111111111') full_statement) f",
    );
    fixture.on_source(
        "update acid.lrs_statement_new set full_statement =
           jsonb_set(full_statement, '{id}', '\"11111111-1111-1111-1111-111111111111\"')
          where (full_statement ->> 'serial')::int8 % 100 = 7",
    );
    let zeros: i64 = fixture
        .source_value(
            "select count(*) from acid.lrs_statement_new where full_statement ->> 'id' like '0%'",
        )
        .parse()
        .unwrap();
    let pulled = Pull::everything().batch(250).run(&mut fixture.stage());
    assert_eq!(pulled.rows + pulled.rejected, 1_000);
    let by_state = "select string_agg(sqlstate || ' ' || n, ', ' order by sqlstate)
                      from (select sqlstate, count(*) n from lrs_extract.reject group by 1) r";
    let expected = match zeros {
        0 => "23505 10".to_owned(),
        n => format!("23505 10, 23514 {n}"),
    };
    assert_eq!(fixture.stage_value(by_state), expected);
}

/// Citus counts the rows that an INSERT with ON CONFLICT has read for those that it has inserted.
#[test]
fn rows_that_meet_a_conflict_do_not_count_as_inserted() {
    for (on_conflict, settings) in
        [("error", &[APART][..]), ("skip", &[APART]), ("error", &[APART, HIDING])]
    {
        let fixture = fixture_that(&Rows::of(600), settings);
        fixture.on_stage("alter table pipeline.aidt_raw add unique (id)");
        // Not by heap: of rows that are held against the target, none counts as skipped.
        fixture.on_stage(&format!(
            "update lrs_extract.pipeline set on_conflict = '{on_conflict}', walk = 'key'"
        ));
        // Of each six rows one comes first.
        fixture.on_source(
            "update acid.lrs_statement_new set full_statement = jsonb_set(full_statement, '{id}',
               to_jsonb(md5(((full_statement ->> 'serial')::int8 / 6)::text)::uuid))",
        );
        let ids = fixture.source_value(
            "select count(distinct full_statement -> 'id') from acid.lrs_statement_new",
        );
        let pulled = Pull::everything().batch(100).run(&mut fixture.stage());
        assert_eq!(pulled.rows.to_string(), ids, "{on_conflict}");
        assert_eq!(fixture.target_rows(), pulled.rows, "{on_conflict}");
        let others = if on_conflict == "skip" { 0 } else { 600 - pulled.rows };
        assert_eq!(pulled.rejected, others, "{on_conflict}");
        let skipped = "select sum(skipped) from lrs_extract.runs";
        assert_eq!(
            fixture.stage_value(skipped),
            (600 - pulled.rows - others).to_string(),
            "{on_conflict}"
        );
    }
}

#[test]
fn a_node_that_is_lost_costs_a_retry() {
    for (sqlstate, words) in [
        ("XX000", "SSL SYSCALL error: EOF detected"),
        ("XX000", "server closed the connection unexpectedly"),
        ("XX000", "failure on connection marked as essential: node2:5432"),
        ("58030", "failed to COPY to shard 102008 on node2:5432"),
        ("08006", "connection to the remote node node2:5432 failed"),
    ] {
        let fixture = fixture_that(&Rows::of(600), &[APART]);
        fixture.on_stage(&format!(
            "create sequence pipeline.lost;
             create function pipeline.lose() returns trigger language plpgsql as $$ begin
               if nextval('pipeline.lost') in (2, 3) then raise '{words}' using errcode = '{sqlstate}'; end if;
               return null; end $$;
             create trigger lose after insert on pipeline.aidt_raw
               for each statement execute function pipeline.lose();
             update lrs_extract.pipeline set retry_delay = '10 ms'"
        ));
        let pulled = Pull::everything().batch(100).run(&mut fixture.stage());
        assert_eq!(pulled.rows, 600, "{words}");
        fixture.assert_all_rows();
    }
}

#[test]
fn an_error_without_a_sqlstate_that_stays_ends_the_run() {
    let fixture = fixture_that(&Rows::of(100), &[]);
    fixture.on_stage(
        "create function pipeline.fail() returns trigger language plpgsql as $$ begin
           raise 'cache lookup failed' using errcode = 'XX000'; end $$;
         create trigger fail after insert on pipeline.aidt_raw
           for each statement execute function pipeline.fail()",
    );
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "XX000", "{}", whole_text(&refused));
    assert_eq!(fixture.target_rows(), 0);
}

#[test]
fn the_rows_of_a_batch_are_for_a_pull_alone() {
    let fixture = Fixture::with(&Rows::of(10));
    let mut stage = fixture.stage();
    stage.batch_execute("load 'lrs_extract'").expect("the library");
    let refused = refusal(stage.batch_execute("select * from lrs_extract_batch"));
    assert_eq!(refused.code().code(), "42P01", "{refused:?}");
}

#[test]
fn a_transition_table_of_the_same_name_is_the_triggers() {
    for settings in [&[][..], &[HIDING]] {
        let fixture = fixture_that(&rows(), settings);
        fixture.on_stage(
            "create table pipeline.seen (id uuid);
             create function pipeline.see() returns trigger language plpgsql as $$ begin
               insert into pipeline.seen select id from lrs_extract_batch; return null; end $$;
             create trigger see after insert on pipeline.aidt_raw
               referencing new table as lrs_extract_batch
               for each statement execute function pipeline.see()",
        );
        fixture.pull_all();
        fixture.assert_all_rows();
        let differ = "select count(*) from (select id from pipeline.seen except all
                                            select id from pipeline.aidt_raw) d";
        assert_eq!(fixture.stage_value(differ), "0");
        let as_many = "select (select count(*) from pipeline.seen) = (select count(*) from pipeline.aidt_raw)";
        assert_eq!(fixture.stage_value(as_many), "true");
    }
}

#[test]
fn a_trigger_that_pulls_has_the_rows_of_its_own_pull() {
    for settings in [&[][..], &[APART]] {
        let fixture = fixture_that(&Rows::of(600), settings);
        fixture.on_stage(
            "create table pipeline.inner_raw (like pipeline.aidt_raw including all);
             insert into lrs_extract.pipeline (name, server, target_table, mapping)
               select 'inner', server, 'pipeline.inner_raw', mapping from lrs_extract.pipeline where name = 'aidt';
             create function pipeline.pull_too() returns trigger language plpgsql as $$ begin
               perform lrs_extract.pull('2025-03-01', '2025-08-01', 70, 'inner', commit => 'caller');
               return new; end $$;
             create trigger pull_too before insert on pipeline.aidt_raw
               for each row when (new.\"timestamp\" < '2025-03-02') execute function pipeline.pull_too()",
        );
        Pull::everything().commit("caller").run(&mut fixture.stage());
        fixture.assert_all_rows();
        let differ =
            "select count(*) from (select id, \"timestamp\" from pipeline.inner_raw except all
                                            select id, \"timestamp\" from pipeline.aidt_raw) d";
        assert_eq!(fixture.stage_value(differ), "0");
        assert_eq!(fixture.stage_value("select count(*) from pipeline.inner_raw"), "600");
    }
}

#[test]
fn a_pull_that_fails_within_a_trigger_leaves_the_rows_of_the_outer_one() {
    let fixture = Fixture::with(&Rows::of(600));
    fixture.on_stage(
        "create table pipeline.inner_raw (like pipeline.aidt_raw including all, check (flag = 'X'));
         create table pipeline.tried (id uuid);
         insert into lrs_extract.pipeline (name, server, target_table, mapping)
           select 'inner', server, 'pipeline.inner_raw', mapping from lrs_extract.pipeline where name = 'aidt';
         create function pipeline.try_too() returns trigger language plpgsql as $$ begin
           begin
             perform lrs_extract.pull('2025-03-01', '2025-08-01', 70, 'inner', commit => 'caller');
             if (select count(*) from lrs_extract.reject where pipeline = 'inner') = 600 then
               raise exception 'all refused';
             end if;
           exception when raise_exception then insert into pipeline.tried values (new.id); end;
           return new; end $$;
         create trigger try_too before insert on pipeline.aidt_raw
           for each row when (new.\"timestamp\" < '2025-03-02') execute function pipeline.try_too()",
    );
    Pull::everything().commit("caller").run(&mut fixture.stage());
    fixture.assert_all_rows();
    let tried = "select count(*) > 0 and count(*) = (select count(*) from pipeline.aidt_raw
                   where \"timestamp\" < '2025-03-02') from pipeline.tried";
    assert_eq!(fixture.stage_value(tried), "true");
    assert_eq!(fixture.stage_value("select count(*) from pipeline.inner_raw"), "0");
}

#[test]
fn rows_pass_expressions_that_are_compiled_just_in_time() {
    let fixture = Fixture::with(&rows());
    let mut stage = fixture.stage();
    stage
        .batch_execute("set jit = on; set jit_above_cost = 0; set jit_optimize_above_cost = 0")
        .expect("settings");
    Pull::everything().batch(500).commit("caller").run(&mut stage);
    fixture.assert_all_rows();
}

/// What makes a part of the target one whose rows have no place, and the words that name it.
const UNREMOVABLE: [(&str, &str); 4] = [
    (
        "set allow_system_table_mods = on;
         create table pg_catalog.pg_dist_partition (logicalrelid regclass);
         insert into pg_dist_partition values ('pipeline.aidt_raw')",
        "distributed by Citus",
    ),
    (
        "create schema _timescaledb_catalog;
         create table _timescaledb_catalog.chunk (schema_name name, table_name name, compressed_chunk_id int);
         create table pipeline._hyper_1_1_chunk () inherits (pipeline.aidt_raw);
         insert into _timescaledb_catalog.chunk values ('pipeline', '_hyper_1_1_chunk', 2)",
        "compressed chunk",
    ),
    (
        "create access method columnar type table handler heap_tableam_handler;
         create table pipeline.old () inherits (pipeline.aidt_raw) using columnar",
        "access method columnar",
    ),
    (
        "create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
         create foreign table pipeline.far () inherits (pipeline.aidt_raw) server nowhere",
        "foreign table",
    ),
];

#[test]
fn rows_without_a_place_of_their_own_are_not_removed_by_it() {
    for (sql, words) in UNREMOVABLE {
        let fixture = Fixture::with(&Rows::of(30));
        fixture.pull_all();
        fixture.on_stage("insert into pipeline.aidt_raw select * from only pipeline.aidt_raw");
        fixture.on_stage(sql);
        let dedup = format!("select lrs_extract.dedup({EVERYTHING})");
        let repair = format!("select * from {}", Repair::by_hashes().deleting().call());
        for call in [dedup, repair] {
            let refused = refusal(fixture.stage().batch_execute(&call));
            assert_eq!(refused.code().code(), "0A000", "{}", whole_text(&refused));
            assert!(refused.message().contains(words), "{}", whole_text(&refused));
            assert!(refused.hint().is_some());
        }
        assert_eq!(fixture.stage_value("select count(*) from only pipeline.aidt_raw"), "60");
    }
}

#[test]
fn what_a_prepared_transaction_holds_back_is_not_taken_for_missing() {
    let stage = ServerPlan::of(Version::stage()).setting("max_prepared_transactions = 4");
    let fixture = Fixture::on(Pair::of(ServerPlan::of(Version::source()), stage), &Rows::of(40));
    fixture.pull_all();
    let mut session = fixture.stage();
    for sql in
        ["begin", "delete from pipeline.aidt_raw where flag = 'none'", "prepare transaction 'held'"]
    {
        session.batch_execute(sql).expect(sql);
    }
    for call in [
        format!("select * from lrs_extract.verify({EVERYTHING})"),
        format!("select * from {}", Repair::by_counts().call()),
        format!("select lrs_extract.dedup({EVERYTHING})"),
    ] {
        let refused = refusal(fixture.stage().batch_execute(&call));
        assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
        assert!(refused.detail().is_some_and(|detail| detail.contains("'held'")), "{refused:?}");
    }
    fixture.on_stage("commit prepared 'held'");
    assert_eq!(Repair::by_counts().run(&fixture).ranges, 0);
}

#[test]
fn the_advice_for_a_slow_insert_does_not_blame_a_hypertables_own_trigger() {
    let fixture = fixture_that(&Rows::of(300), &[]);
    fixture.on_stage(
        "create schema _timescaledb_functions;
         create function _timescaledb_functions.insert_blocker() returns trigger language plpgsql as $$ begin
           perform pg_sleep(0.002); return new; end $$;
         create trigger ts_insert_blocker before insert on pipeline.aidt_raw
           for each row execute function _timescaledb_functions.insert_blocker()",
    );
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, 300);
    let advice = "select advice from lrs_extract.bottleneck";
    assert!(!fixture.stage_value(advice).contains("ts_insert_blocker"));
    fixture.on_stage(
        "create trigger mine before insert on pipeline.aidt_raw
           for each row execute function _timescaledb_functions.insert_blocker();
         alter function _timescaledb_functions.insert_blocker() set schema pipeline",
    );
    assert!(
        fixture.stage_value(advice).contains("ts_insert_blocker"),
        "in another schema it counts"
    );
}
