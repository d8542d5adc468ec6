//! `examples/quick_start.sh`: what it prints sets up both sides, whatever the names are.

use std::process::Command;

use crate::fixture::{Fixture, Pair, READER_PASSWORD, Rows};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quick_start.sh");

/// What the script prints for one side.
fn printed(side: &str, answers: &[&str; 5]) -> String {
    let output = Command::new(SCRIPT).arg(side).args(answers).output().expect("the script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sql = String::from_utf8(output.stdout).expect("UTF-8");
    sql.replace("password '…'", &format!("password '{READER_PASSWORD}'"))
}

/// Runs both sides, the stage's without any object of the extension yet; gives what the source's printed last.
fn set_up(fixture: &Fixture, db: &str, table: &str, columns: &str, role: &str) -> String {
    let (source, stage) = (&fixture.pair.source, &fixture.pair.stage);
    let host = format!("{}:{}", source.home().display(), source.port());
    let answers = [&host, db, table, columns, role];
    let indexes = source.psql(db, &printed("--source", &answers));
    for index in indexes.lines() {
        source.psql(db, index);
    }
    fixture.on_stage("drop schema pipeline cascade; drop extension lrs_extract cascade");
    let sql = printed("--stage", &answers)
        .replace("date_trunc('month', now()) - interval '1 month'", "'2025-03-01'")
        .replace("date_trunc('month', now())", "'2025-08-01'");
    let said = stage.psql(&fixture.db, &sql);
    let checks: Vec<&str> = said.lines().take(13).collect();
    assert!(checks[0].starts_with("connection|t|"), "{said}");
    assert!(checks.iter().all(|check| check.contains("|t|")), "{said}");
    indexes
}

#[test]
fn the_statements_set_up_both_sides() {
    let fixture = Fixture::bare(Pair::shared());
    Rows::of(1_000).fill(&mut fixture.source());
    let role = format!("{}_reader", fixture.db);
    let columns = "timestamp,actor_id,full_statement";
    let indexes = set_up(&fixture, &fixture.db, "acid.lrs_statement_new", columns, &role);
    assert_eq!(indexes, "", "there is an index");
    fixture.assert_all_rows();
}

#[test]
fn hostile_names_stay_names() {
    let fixture = Fixture::bare(Pair::shared());
    Rows::of(500).fill(&mut fixture.source());
    fixture.on_source(
        r#"create schema "o'd; ""$$\x";
           create table "o'd; ""$$\x"."T.e:st -- ,'" as
               select "timestamp" as "ti,me'""", actor_id as "Select", full_statement as "state\ment"
                 from acid.lrs_statement_new;
           analyze "o'd; ""$$\x"."T.e:st -- ,'""#,
    );
    let db = format!("{} d'b\"\\", fixture.db);
    let copy = format!("create database \"{}\" template {}", db.replace('"', "\"\""), fixture.db);
    fixture.pair.source.connect("postgres").batch_execute(&copy).expect("a database");
    let role = format!("{} r'o\"le\\", fixture.db);
    let table = r#""o'd; ""$$\x" . "T.e:st -- ,'""#;
    let columns = r#""ti,me'""", "Select", "state\ment""#;
    let indexes = set_up(&fixture, &db, table, columns, &role);
    assert!(indexes.starts_with("create index concurrently on "), "{indexes}");
    fixture.assert_all_rows();
}

#[test]
fn answers_that_are_no_names_are_refused() {
    for (table, columns) in [
        ("statements", "a,b,c"),
        ("acid.t; drop table t", "a,b,c"),
        ("acid.t", "a,b"),
        ("acid.t", "a,b,\"c"),
    ] {
        let refused = Command::new(SCRIPT)
            .args(["db1", "srcdb", table, columns, "srcuser"])
            .output()
            .expect("the script runs");
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{table} {columns}");
    }
}
