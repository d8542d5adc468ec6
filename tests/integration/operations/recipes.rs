//! The README's quick start and the recipes of `docs/recipes.md`, run as they stand there.

use crate::fixture::{Fixture, Pair, Pull, Rows};

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
const RECIPES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md"));

/// The SQL of a recipe, block after block.
fn recipe(title: &str) -> Vec<&'static str> {
    sql_of(RECIPES, title)
}

/// The SQL of a section of a document, block after block.
fn sql_of(document: &'static str, section: &str) -> Vec<&'static str> {
    let heading = format!("\n## {section}\n");
    let (_, after) =
        document.split_once(&heading).unwrap_or_else(|| panic!("no section {section}"));
    let body = after.split("\n## ").next().unwrap_or_default();
    let blocks: Vec<&str> = body
        .split("```sql\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect();
    assert!(!blocks.is_empty(), "the section {section} has SQL");
    blocks
}

fn psql(fixture: &Fixture, sql: &str) -> String {
    fixture.pair.stage.psql(&fixture.db, sql)
}

/// What stands in a cron job between the dollars.
fn scheduled(block: &str) -> &str {
    block.split("$$").nth(1).expect("a command between $$ and $$")
}

#[test]
fn quick_start() {
    let fixture = Fixture::bare(Pair::shared());
    Rows::of(2_000).fill(&mut fixture.source());
    fixture.on_stage("drop schema pipeline cascade; drop extension if exists lrs_extract");
    let [on_the_source, on_the_stage] = sql_of(README, "Quick start")[..] else {
        panic!("a block for the source and one for the stage")
    };
    // The role and its password are the fixture's; the grants are the README's.
    let grants: Vec<&str> =
        on_the_source.lines().filter(|line| line.starts_with("grant")).collect();
    fixture.on_source(&format!(
        "revoke all on schema acid from reader; {}",
        grants.join("\n").replace("srcuser", "reader")
    ));
    let server = on_the_stage.replace(
        "host 'db1', port '5432', dbname 'srcdb', sslmode 'verify-full'",
        &fixture.server_options(),
    );
    assert_ne!(server, on_the_stage, "the server's options are as the test knows them");
    let mapping = server.replace("user 'srcuser', password '…'", &fixture.mapping_options());
    assert_ne!(mapping, server, "the mapping's options are as the test knows them");
    psql(&fixture, &mapping);
    fixture.assert_all_rows();
}

#[test]
fn a_look_before_anything_moves() {
    let fixture = Fixture::with(&Rows::of(1_000));
    let [plan] = recipe("Preview a pull")[..] else { panic!("one block") };
    let planned = psql(&fixture, plan);
    assert!(planned.lines().count() >= 5 && planned.contains("todo"), "{planned}");
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.run"), "0");
}

#[test]
fn a_backfill_and_going_on() {
    let fixture = Fixture::with(&Rows::of(3_000));
    psql(&fixture, recipe("Backfill five months")[0]);
    fixture.assert_all_rows();
    let resumed = psql(&fixture, recipe("Resume after a stop")[0]);
    assert!(resumed.contains("|done|3000|"), "{resumed}");
    fixture.assert_all_rows();
}

#[test]
fn every_night() {
    let fixture = Fixture::with(&Rows::of(10));
    fixture.on_source(
        "create table acid.recent partition of acid.lrs_statement_new
             for values from (date_trunc('day', now()) - interval '8 days') to (now() + interval '1 day');
         insert into acid.lrs_statement_new
         select date_trunc('day', now()) - interval '7 days' + n * interval '1 hour',
                '{\"id\": \"00000000-0000-0000-0000-000000000000\"}', n
           from generate_series(0, 7 * 24 - 1) n;
         grant select on acid.recent to reader",
    );
    let [nightly, the_week] = recipe("Pull every night")[..] else { panic!("two blocks") };
    let night = scheduled(nightly).to_owned();
    psql(&fixture, &night);
    assert_eq!(fixture.stage_value("select count(*) from pipeline.aidt_raw"), "24");
    psql(&fixture, the_week);
    assert_eq!(fixture.stage_value("select count(*) from pipeline.aidt_raw"), "168");
}

#[test]
fn what_came_late_is_there_in_the_morning() {
    let fixture = Fixture::with(&Rows::of(10));
    fixture.on_source(
        "create table acid.recent partition of acid.lrs_statement_new
             for values from (date_trunc('day', now()) - interval '40 days') to (now() + interval '1 day');
         grant select on acid.recent to reader",
    );
    let statements = |from: &str, first: i32, rows: i32| {
        fixture.on_source(&format!(
            "insert into acid.lrs_statement_new
             select date_trunc('day', now()) - interval '{from}' + n * interval '1 hour', acid.statement({first} + n, false), n
               from generate_series(0, {rows} - 1) n"
        ));
    };
    let rows = || fixture.stage_value("select count(*) from pipeline.aidt_raw");
    let [nightly, job, lookback] = recipe("Bring what came late")[..] else {
        panic!("three blocks")
    };
    statements("3 days", 1, 48);
    fixture.on_stage(
        "select lrs_extract.pull(date_trunc('day', now()) - interval '31 days', date_trunc('day', now()) - interval '1 day')",
    );
    assert_eq!(rows(), "48");
    statements("70 hours", 1_000, 10);
    statements("1 day", 2_000, 20);
    psql(&fixture, nightly);
    assert_eq!(rows(), "78");
    statements("71 hours", 3_000, 5);
    let job = scheduled(job).to_owned();
    psql(&fixture, &job);
    assert_eq!(rows(), "83");
    psql(&fixture, lookback);
    statements("69 hours", 4_000, 5);
    psql(&fixture, nightly.lines().next().expect("the pull"));
    assert_eq!(rows(), "88");
}

#[test]
fn what_production_erased_is_erased() {
    let fixture = Fixture::with(&Rows::of(2_000));
    fixture.pull_all();
    fixture.on_source(
        "delete from acid.lrs_statement_new where (full_statement ->> 'serial')::int8 % 400 = 7;
         update acid.lrs_statement_new set full_statement = full_statement - 'actor'
          where (full_statement ->> 'serial')::int8 % 500 = 9",
    );
    let erasure = recipe("Erase what production erased")[0];
    let first = erasure.lines().next().expect("the dry run");
    assert_ne!(psql(&fixture, first), "");
    assert_eq!(fixture.target_rows(), 2_000);
    psql(&fixture, erasure);
    fixture.assert_all_rows();
    assert_eq!(psql(&fixture, erasure), "");
}

#[test]
fn a_day_once_more() {
    let fixture = Fixture::with(&Rows::of(3_000).odd_ids_every(10));
    assert!(fixture.pull_all().rejected > 0);
    psql(&fixture, recipe("Pull a day again")[0]);
    let again = "select count(*) from pipeline.aidt_raw a join lrs_extract.run r
                     on r.run_id = 2 and a.inserted_at >= r.started_at";
    assert_ne!(fixture.stage_value(again), "0");
    fixture.assert_all_rows();
    for check in recipe("Verify a period")[0].lines() {
        assert_eq!(psql(&fixture, check), "", "{check}");
    }
}

#[test]
fn sparing_the_source() {
    let fixture = Fixture::with(&Rows::of(1_000));
    let [spare, lift] = recipe("Spare the source")[..] else { panic!("two blocks") };
    psql(&fixture, spare);
    Pull::everything().run(&mut fixture.stage());
    fixture.assert_all_rows();
    psql(&fixture, lift);
    let free =
        "select max_bytes_per_second is null and pause_while is null from lrs_extract.pipeline";
    assert_eq!(fixture.stage_value(free), "true");
}

#[test]
fn watching_and_stopping() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.slow_target(200);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    let seen: Vec<String> = recipe("Watch and stop a run")[0]
        .split_inclusive(";\n")
        .map(|statement| psql(&fixture, statement))
        .collect();
    assert!(seen[0].contains("|running|") && seen[0].contains("doing"), "{seen:#?}");
    assert!(seen[1].contains('|'), "{seen:#?}");
    assert!(seen[2].contains("rows"), "{seen:#?}");
    assert!(running.result().is_err(), "the run was stopped");
    assert_eq!(fixture.last_run_state(), "cancelled");
}

#[test]
fn proof_that_all_is_there() {
    let fixture = Fixture::with(&Rows::of(3_000));
    fixture.pull_all();
    let checks: Vec<&str> = recipe("Verify a period")[0].lines().collect();
    for check in &checks {
        assert_eq!(psql(&fixture, check), "", "{check}");
    }
    fixture.on_stage(
        "update pipeline.aidt_raw set statement = '{}' where \"timestamp\" =
             (select min(\"timestamp\") from pipeline.aidt_raw where \"timestamp\" >= '2025-04-01');
         delete from pipeline.aidt_raw where \"timestamp\" =
             (select min(\"timestamp\") from pipeline.aidt_raw where \"timestamp\" >= '2025-06-01')",
    );
    for check in &checks {
        assert_ne!(psql(&fixture, check), "", "{check}");
    }
    let [_, differing, by_workers] = recipe("Verify a period")[..] else { panic!("three blocks") };
    assert!(psql(&fixture, differing).contains("|missing|"));
    assert!(psql(&fixture, by_workers).contains(",f,"));
}

#[test]
fn rows_that_did_not_fit() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.on_source(
        "update acid.lrs_statement_new set full_statement = jsonb_set(full_statement, '{id}', '\"none\"')
          where actor_id = 7",
    );
    let pulled = fixture.pull_all();
    assert!(pulled.rejected > 0, "{pulled:?}");
    psql(&fixture, recipe("Replay rejected rows")[0]);
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.reject"), "0");
    assert_eq!(fixture.stage_value("select count(*) from pipeline.aidt_raw"), "1000");
}

#[test]
fn an_update_of_the_extension() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    let [running, update] = recipe("Update the extension")[..] else { panic!("two blocks") };
    assert_eq!(psql(&fixture, running), "");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(psql(&fixture, update), format!("{version}|{version}\n"));
}

#[test]
fn rows_that_came_twice() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.pull_all();
    Pull::period("2025-04-01", "2025-05-01").again().run(&mut fixture.stage());
    psql(&fixture, recipe("Remove duplicates")[0]);
    fixture.assert_all_rows();
}
