//! `check` finds what would keep a pull from going through, by its name, in the words of `plan`.

use postgres::Client;

use crate::fixture::{Fixture, Rows, refusal, whole_text};

const NAMES: [&str; 13] = [
    "connection",
    "tls",
    "role",
    "table",
    "key",
    "index",
    "statistics",
    "row_security",
    "clock",
    "target",
    "mapping",
    "workers",
    "settings",
];
pub const PLAN: &str = "select * from lrs_extract.plan('2025-03-01', '2025-08-01')";

#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub ok: Option<bool>,
    pub found: String,
    pub advice: Option<String>,
}

impl Row {
    pub fn advice(&self) -> &str {
        self.advice.as_deref().unwrap_or_default()
    }
}

fn checked(session: &mut Client) -> Vec<Row> {
    let rows = session.query("select * from lrs_extract.check('aidt')", &[]).expect("rows");
    let rows: Vec<Row> = rows
        .iter()
        .map(|row| Row { name: row.get(0), ok: row.get(1), found: row.get(2), advice: row.get(3) })
        .collect();
    assert_eq!(rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), NAMES);
    rows
}

pub fn assert_all_ok(session: &mut Client) -> Vec<Row> {
    let rows = checked(session);
    assert!(rows.iter().all(|row| row.ok == Some(true)), "{rows:#?}");
    rows
}

/// The one row that is not ok; what hangs on it was not looked at.
pub fn assert_finds(name: &str, session: &mut Client) -> Row {
    let rows = checked(session);
    let failed: Vec<&str> =
        rows.iter().filter(|row| row.ok == Some(false)).map(|row| &*row.name).collect();
    assert_eq!(failed, [name], "{rows:#?}");
    let because = format!("not looked at: {name} failed");
    let skipped = rows.iter().filter(|row| row.ok.is_none());
    assert!(skipped.into_iter().all(|row| row.found == because), "{rows:#?}");
    let row = rows.into_iter().find(|row| row.name == name).expect("the row");
    assert!(!row.advice().is_empty(), "{row:?}");
    row
}

/// `plan` refuses, with the message and the hint of the row.
pub fn assert_plan_refuses(row: &Row, session: &mut Client) {
    let refused = refusal(session.query(PLAN, &[]));
    assert!(row.found.starts_with(refused.message()), "{row:?}: {}", whole_text(&refused));
    assert_eq!(row.advice.as_deref(), refused.hint(), "{}", whole_text(&refused));
}

/// How a fault is made, and undone.
struct Fault {
    name: &'static str,
    plant: &'static str,
    undo: &'static str,
}

const MAPPING: &str = "update lrs_extract.pipeline set mapping = mapping - 'nope' || '{\"partner_id\": {\"const\": null}}'";

fn assert_each_is_found(fixture: &Fixture, on: impl Fn(&Fixture, &str), faults: &[Fault]) {
    let mut session = fixture.stage();
    for fault in faults {
        on(fixture, fault.plant);
        let row = assert_finds(fault.name, &mut session);
        assert_plan_refuses(&row, &mut session);
        on(fixture, fault.undo);
    }
    assert_all_ok(&mut session);
}

#[test]
fn everything_is_ok_and_nothing_is_changed() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut session = fixture.stage();
    assert_all_ok(&mut session);
    session.batch_execute("begin").expect("begin");
    let rows = assert_all_ok(&mut session);
    let xid = session.query_one("select txid_current_if_assigned()", &[]).expect("a row");
    assert_eq!(xid.get::<_, Option<i64>>(0), None);
    session.batch_execute("commit; begin read only").expect("read only");
    assert_all_ok(&mut session);
    session.batch_execute("commit").expect("commit");
    let found = |name: &str| &rows.iter().find(|row| row.name == name).expect("a row").found;
    assert!(found("connection").contains("as reader, in a session of its own"), "{rows:#?}");
    assert!(found("table").contains("5 partitions with about 500 rows"), "{rows:#?}");
    assert!(found("target").starts_with("pipeline.aidt_raw, 8 columns"), "{rows:#?}");
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.run"), "0");
}

#[test]
fn a_caller_who_is_no_superuser_sees_the_same() {
    let fixture = Fixture::with(&Rows::of(100));
    let (role, mut session) = fixture.analyst("insert");
    assert_all_ok(&mut session);
    let deny = |sql: &str| fixture.on_stage(&format!("{sql} {role}"));
    deny("revoke usage on foreign server lrs_source from");
    let row = assert_finds("connection", &mut session);
    assert_plan_refuses(&row, &mut session);
    deny("grant usage on foreign server lrs_source to");
    deny("revoke usage on schema pipeline from");
    let row = assert_finds("target", &mut session);
    assert_plan_refuses(&row, &mut session);
    fixture.on_stage(row.advice());
    deny("revoke insert on pipeline.aidt_raw from");
    let row = assert_finds("target", &mut session);
    assert_plan_refuses(&row, &mut session);
    deny("grant insert (id) on pipeline.aidt_raw to");
    assert!(assert_finds("target", &mut session).found.contains("column"));
}

#[test]
fn what_the_role_may_not_read_is_found_where_the_stage_keeps_the_walk_from_being_made() {
    let fixture = Fixture::with(&Rows::of(100));
    // A walk by heap needs to know the target's rows again.
    fixture.on_stage(
        "update lrs_extract.pipeline set walk = 'heap', target_table = 'pipeline.nowhere'",
    );
    for (name, fault) in [
        ("role", "revoke select on acid.lrs_statement_new from reader"),
        (
            "row_security",
            "grant select on acid.lrs_statement_new to reader;
             alter table acid.lrs_statement_new enable row level security",
        ),
    ] {
        fixture.on_source(fault);
        let rows = checked(&mut fixture.stage());
        let failed = rows.iter().filter(|row| row.ok == Some(false));
        assert_eq!(failed.map(|row| &*row.name).collect::<Vec<_>>(), [name, "target"], "{rows:#?}");
    }
}

#[test]
fn faults_of_the_stage_are_found_by_name() {
    let fixture = Fixture::with(&Rows::of(100));
    assert_each_is_found(
        &fixture,
        Fixture::on_stage,
        &[
            Fault {
                name: "connection",
                plant: "alter user mapping for current_user server lrs_source options (set password 'x')",
                undo: "alter user mapping for current_user server lrs_source options (set password 'correct horse')",
            },
            Fault {
                name: "connection",
                plant: "alter server lrs_source options (add hostaddr '127.0.0.1', set port '1')",
                undo: "alter server lrs_source options (drop hostaddr, set port '5432')",
            },
            Fault {
                name: "connection",
                plant: "drop user mapping for current_user server lrs_source",
                undo: "create user mapping for current_user server lrs_source options (user 'reader', password 'correct horse')",
            },
            Fault {
                name: "tls",
                plant: "alter server lrs_source options (add hostaddr '127.0.0.1', set sslmode 'verify-full', add sslrootcert '/nowhere')",
                undo: "alter server lrs_source options (drop hostaddr, set sslmode 'disable', drop sslrootcert)",
            },
            Fault {
                name: "table",
                plant: "update lrs_extract.pipeline set source_table = 'acid.nowhere'",
                undo: "update lrs_extract.pipeline set source_table = 'acid.lrs_statement_new'",
            },
            Fault {
                name: "key",
                plant: "update lrs_extract.pipeline set actor_column = 'full_statement'",
                undo: "update lrs_extract.pipeline set actor_column = 'nope'",
            },
            Fault {
                name: "key",
                plant: "",
                undo: "update lrs_extract.pipeline set actor_column = 'actor_id'",
            },
            Fault {
                name: "target",
                plant: "update lrs_extract.pipeline set target_table = 'pipeline.nowhere'",
                undo: "update lrs_extract.pipeline set target_table = 'pipeline.aidt_raw'",
            },
            Fault {
                name: "mapping",
                plant: "update lrs_extract.pipeline set mapping = mapping || '{\"nope\": {\"const\": null}}'",
                undo: MAPPING,
            },
            Fault {
                name: "mapping",
                plant: "update lrs_extract.pipeline set mapping = mapping || '{\"partner_id\": {\"paht\": []}}'",
                undo: MAPPING,
            },
            Fault {
                name: "mapping",
                plant: "update lrs_extract.pipeline set mapping = mapping || '{\"partner_id\": {\"source\": \"nope\"}}'",
                undo: MAPPING,
            },
            Fault {
                name: "mapping",
                plant: "update lrs_extract.pipeline set time_zone = 'Mars/Olympus'",
                undo: "update lrs_extract.pipeline set time_zone = 'UTC'",
            },
        ],
    );
}

#[test]
fn faults_of_the_source_are_found_by_name() {
    let fixture = Fixture::with(&Rows::of(100));
    assert_each_is_found(
        &fixture,
        Fixture::on_source,
        &[
            Fault {
                name: "role",
                plant: "revoke usage on schema acid from reader",
                undo: "grant usage on schema acid to reader",
            },
            Fault {
                name: "role",
                plant: "revoke select on acid.lrs_statement_new from reader",
                undo: "grant select on acid.lrs_statement_new to reader",
            },
            Fault {
                name: "row_security",
                plant: "alter table acid.lrs_statement_new enable row level security",
                undo: "alter table acid.lrs_statement_new disable row level security",
            },
        ],
    );
}

#[test]
fn the_grants_that_are_missing_are_spelled_out() {
    let fixture = Fixture::with(&Rows::of(10));
    let mut session = fixture.stage();
    fixture.on_source(
        "create table acid.rest partition of acid.lrs_statement_new default;
         grant select on acid.rest to reader",
    );
    let select = "revoke select on acid.lrs_statement_new from reader";
    for revoke in [select, &format!("revoke usage on schema acid from reader; {select}")] {
        fixture.on_source(revoke);
        let row = assert_finds("role", &mut session);
        assert_plan_refuses(&row, &mut session);
        let grants = row.advice().strip_prefix("Grant it on the source: ").expect("statements");
        fixture.on_source(grants);
        assert_all_ok(&mut session);
    }
}

#[test]
fn an_index_on_the_timestamp_alone_or_none_is_found() {
    let fixture = Fixture::with(&Rows::of(100).in_key_order());
    let mut session = fixture.stage();
    let warnings = |column: &str| {
        fixture.stage_value(&format!("select string_agg(distinct {column}, ' ') from lrs_extract.plan('2025-03-01', '2025-08-01')"))
    };
    let words = |row: &Row| row.found.split(" (acid").next().map(str::to_owned).expect("words");
    fixture.on_source(
        "drop index acid.lrs_statement_new_timestamp_actor_id_idx;
         create index on acid.lrs_statement_new (\"timestamp\")",
    );
    let row = assert_finds("index", &mut session);
    assert!(warnings("warning").contains(&words(&row)), "{row:?}");
    fixture.on_source("drop index acid.lrs_statement_new_timestamp_idx");
    let row = assert_finds("index", &mut session);
    assert!(warnings("access_path").contains(&words(&row)), "{row:?}");
    // The advice runs as it stands.
    let create = row.advice().strip_prefix("Create one on the source: ").expect("statements");
    for statement in create.split_inclusive(';') {
        fixture.on_source(statement);
    }
    assert_all_ok(&mut session);
}

#[test]
fn an_index_that_a_failed_statement_left_is_to_be_made_anew() {
    let fixture = Fixture::with(&Rows::of(100).in_key_order());
    let mut session = fixture.stage();
    let index = |month: &str| format!("acid.lrs_statement_2025_{month}_timestamp_actor_id_idx");
    let invalidate = |index: &str| {
        fixture.on_source(&format!(
            "update pg_index set indisvalid = false where indexrelid = '{index}'::regclass"
        ));
    };
    // May has another that serves.
    fixture.on_source("create index on acid.lrs_statement_2025_05 (\"timestamp\", actor_id)");
    invalidate(&index("05"));
    let rows = assert_all_ok(&mut session);
    let told = rows.iter().find(|row| row.name == "index").expect("a row");
    assert!(told.found.contains("idx invalid"), "{told:?}");
    invalidate(&index("04"));
    let row = assert_finds("index", &mut session);
    let reindex = format!("On the source: reindex index concurrently {}; Or:", index("04"));
    assert!(row.advice().starts_with(&reindex), "{row:?}");
    fixture.on_source(&format!("reindex index concurrently {}", index("04")));
    assert_all_ok(&mut session);
}

#[test]
fn partitions_without_statistics_are_found() {
    let fixture = Fixture::with(&Rows::of(100));
    let mut session = fixture.stage();
    let forget = |parts: &str| {
        fixture.on_source(&format!("delete from pg_statistic where starelid::regclass::text like 'acid.lrs_statement_{parts}'"));
    };
    for (parts, tables) in [("2025_04", 1), ("2025%", 5)] {
        forget(parts);
        let row = assert_finds("statistics", &mut session);
        let ways = fixture.stage_value("select string_agg(distinct access_path, ' ') from lrs_extract.plan('2025-03-01', '2025-08-01')");
        let words = row.found.split(" (acid").next().expect("words");
        assert!(ways.contains(words), "{row:?}: {ways}");
        let analyze = row.advice().strip_prefix("On the source: ").expect("statements");
        assert_eq!(analyze.contains("2025_04"), tables == 1, "{row:?}");
        fixture.on_source(analyze);
        assert_all_ok(&mut session);
    }
    fixture.on_source("revoke select on acid.lrs_statement_2025_05 from reader");
    let row = assert_finds("statistics", &mut session);
    fixture.on_source(row.advice().strip_prefix("On the source: ").expect("statements"));
    assert_all_ok(&mut session);
}

#[test]
fn rows_without_a_finite_timestamp_are_found() {
    let fixture = Fixture::with(&Rows::of(100));
    fixture.on_source(
        "create table acid.rest partition of acid.lrs_statement_new default;
         grant select on acid.rest to reader;
         insert into acid.lrs_statement_new values ('infinity', '{}', 1), ('2026-01-01', '{}', 2);
         analyze acid.rest",
    );
    let row = assert_finds("key", &mut fixture.stage());
    let (mut session, notices) = fixture.stage_with_notices();
    session.query(PLAN, &[]).expect("planned");
    assert!(notices.all().iter().any(|notice| notice.contains(&row.found)), "{row:?}");
}

#[test]
fn no_pipeline_is_refused() {
    let fixture = Fixture::with(&Rows::of(0));
    for (pipeline, sqlstate) in [("null", "22004"), ("'adit'", "42704")] {
        let call = format!("select * from lrs_extract.check({pipeline})");
        let refused = refusal(fixture.stage().query(&call, &[]));
        let plan = PLAN.replace("01')", &format!("01', {pipeline})"));
        let planned = refusal(fixture.stage().query(&plan, &[]));
        assert_eq!(refused.code().code(), sqlstate, "{}", whole_text(&refused));
        assert_eq!(whole_text(&refused), whole_text(&planned));
    }
}
