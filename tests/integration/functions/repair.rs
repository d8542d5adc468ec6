//! `repair` finds what came late, changed or went, and makes the target hold what the source holds.

use std::time::Duration;

use crate::fixture::{Fixture, Repair, Repaired, Rows, await_that, refusal, whole_text};

const NOTHING: Repaired =
    Repaired { ranges: 0, missing: 0, surplus: 0, changed: 0, pulled: 0, deleted: 0 };

/// Ties, null actors and bad ids, pulled.
fn pulled_fixture() -> Fixture {
    let fixture =
        Fixture::with(&Rows::of(3_000).ties(7).actors_per_tie(3).nulls_every(4).odd_ids_every(10));
    fixture.pull_all();
    fixture
}

/// Adds statements to the source, as many, that begin with `serial`, with timestamps all over the period.
fn come_late(fixture: &Fixture, serial: i64, rows: i64) {
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new
         select '2025-03-02 00:00+00'::timestamptz + n * interval '70 hours',
                acid.statement({serial} + n, false), nullif(n % 4, 0)
           from generate_series(1, {rows}) n"
    ));
}

#[test]
fn where_nothing_differs_nothing_is_done() {
    let fixture = pulled_fixture();
    assert_eq!(Repair::by_counts().run(&fixture), NOTHING);
    assert_eq!(Repair::by_hashes().deleting().run(&fixture), NOTHING);
    fixture.assert_all_rows();
}

#[test]
fn late_statements_are_pulled_by_counts_alone() {
    let fixture = pulled_fixture();
    come_late(&fixture, 100_000, 50);
    let repaired = Repair::by_counts().run(&fixture);
    assert_eq!((repaired.missing, repaired.pulled), (50, 50), "{repaired:?}");
    assert_eq!((repaired.surplus, repaired.changed, repaired.deleted), (0, 0, 0));
    fixture.assert_all_rows();
    assert_eq!(Repair::by_hashes().run(&fixture), NOTHING);
}

#[test]
fn a_late_statement_that_does_not_fit_is_rejected_once() {
    let fixture = pulled_fixture();
    fixture.on_source(
        "insert into acid.lrs_statement_new
         values ('2025-04-14 12:00+00', acid.statement(100000, true), null)",
    );
    assert_eq!(Repair::by_counts().run(&fixture).pulled, 1);
    fixture.assert_all_rows();
    assert_eq!(Repair::by_hashes().run(&fixture), NOTHING);
}

#[test]
fn a_changed_statement_is_found_by_its_hash_and_told_as_changed() {
    let fixture = pulled_fixture();
    fixture.on_source(
        "update acid.lrs_statement_new set full_statement = full_statement || '{\"late\": 1}'
          where full_statement ->> 'serial' in ('11', '1111', '2222')",
    );
    assert_eq!(Repair::by_counts().run(&fixture), NOTHING);
    let repaired = Repair::by_hashes().deleting().run(&fixture);
    assert_eq!(
        (repaired.missing, repaired.surplus, repaired.changed, repaired.pulled, repaired.deleted),
        (3, 3, 3, 3, 3)
    );
    fixture.assert_all_rows();
}

#[test]
fn what_the_source_does_not_have_goes_only_when_asked_for() {
    let fixture = pulled_fixture();
    fixture.on_source(
        "delete from acid.lrs_statement_new where full_statement ->> 'serial' in ('5', '10', '600')",
    );
    fixture.on_stage(
        "insert into pipeline.aidt_raw (id, statement, \"timestamp\")
         select id, statement, \"timestamp\" from pipeline.aidt_raw order by \"timestamp\" limit 2",
    );
    let before = fixture.target_rows();
    let kept = Repair::by_counts().run(&fixture);
    assert_eq!((kept.surplus, kept.deleted), (5, 0), "{kept:?}");
    assert_eq!(fixture.target_rows(), before);
    let repaired = Repair::by_counts().deleting().run(&fixture);
    assert_eq!((repaired.surplus, repaired.deleted), (5, 5), "{repaired:?}");
    fixture.assert_all_rows();
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    let fixture = pulled_fixture();
    come_late(&fixture, 100_000, 20);
    let before = fixture.stage_value("select count(*) from lrs_extract.run");
    let told = Repair::by_counts().dry().run(&fixture);
    assert_eq!((told.missing, told.pulled), (20, 0), "{told:?}");
    assert_eq!(fixture.target_rows(), 2_700);
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.run"), before);
    let run = format!(
        "select count(*) filter (where run_id is null) from {}",
        Repair::by_counts().dry().call()
    );
    assert_ne!(fixture.stage_value(&run), "0");
    assert_eq!(Repair::by_counts().run(&fixture).missing, told.missing);
}

#[test]
fn what_is_not_pulled_is_left_to_a_pull() {
    let fixture = Fixture::with(&Rows::of(2_000));
    crate::fixture::Pull::period("2025-04-01", "2025-05-05").run(&mut fixture.stage());
    come_late(&fixture, 100_000, 50);
    let rows = fixture.target_rows();
    let (mut stage, notices) = fixture.stage_with_notices();
    let repaired = Repair::by_counts().try_run(&mut stage).expect("a repair");
    assert!(repaired.pulled > 5 && repaired.pulled < 20, "{repaired:?}");
    assert_eq!(fixture.target_rows(), rows + repaired.pulled);
    assert!(notices.all().iter().any(|n| n.contains("are not pulled")), "{:?}", notices.all());
    fixture.assert_same_rows("2025-04-01", "2025-05-05");
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn a_timestamp_that_many_rows_share_is_divided_by_its_hashes() {
    let fixture = Fixture::with(&Rows::of(12_000).ties(12_000).nulls_every(3));
    fixture.pull_all();
    fixture.on_stage(
        "delete from pipeline.aidt_raw where statement ->> 'serial' in ('7', '77', '777')",
    );
    fixture.on_source(
        "update acid.lrs_statement_new set full_statement = full_statement || '{\"late\": 1}'
          where full_statement ->> 'serial' in ('8', '88')",
    );
    let repaired = Repair::by_counts().deleting().run(&fixture);
    assert_eq!((repaired.missing, repaired.surplus, repaired.changed), (5, 2, 2), "{repaired:?}");
    fixture.assert_all_rows();
}

#[test]
fn nothing_outside_the_period_is_touched() {
    let fixture = pulled_fixture();
    come_late(&fixture, 100_000, 50);
    let april = Repair::by_counts().period("2025-04-01", "2025-05-01").run(&fixture);
    assert!(april.pulled > 5 && april.pulled < 15, "{april:?}");
    fixture.assert_same_rows("2025-04-01", "2025-05-01");
    assert_eq!(Repair::by_counts().run(&fixture).pulled, 50 - april.pulled);
    fixture.assert_all_rows();
}

#[test]
fn a_repair_is_a_run_in_the_ledger() {
    let fixture = pulled_fixture();
    come_late(&fixture, 100_000, 5);
    Repair::by_counts().run(&fixture);
    let last = "where r.run_id = (select max(run_id) from lrs_extract.run)";
    assert_eq!(
        fixture.stage_value(&format!(
            "select concat_ws(' ', r.kind, r.state, r.rows, p.kind, b.kind)
               from lrs_extract.runs r join lrs_extract.progress p using (run_id)
               join lrs_extract.bottleneck b using (run_id) {last}"
        )),
        "repair done 5 repair repair"
    );
    assert_eq!(
        fixture.stage_value(&format!(
            "select concat_ws(' ', sum(missing), sum(pulled), sum(deleted))
               from lrs_extract.difference r {last}"
        )),
        "5 5 0"
    );
    let report = fixture.stage_value("select lrs_extract.report(max(run_id)) from lrs_extract.run");
    assert!(report.contains("5 missing and 0 surplus, 5 pulled, 0 deleted"), "{report}");
    // It adds nothing to what is known to be pulled, and takes nothing away.
    assert_eq!(fixture.pull_all().rows, 0);
}

#[test]
fn bad_arguments_are_refused_in_words() {
    let fixture = Fixture::with(&Rows::of(0));
    for (arguments, code, said) in [
        ("level => 'all'", "22023", "'count'"),
        ("surplus => 'drop'", "22023", "'keep'"),
        ("dry_run => null", "22004", "dry_run"),
        ("pipeline => 'none'", "42704", "none"),
    ] {
        let call =
            format!("select * from lrs_extract.repair('2025-03-01', '2025-08-01', {arguments})");
        let refused = refusal(fixture.stage().query(&call, &[]));
        let words = whole_text(&refused);
        assert_eq!(refused.code().code(), code, "{words}");
        assert!(words.contains(said), "{words}");
        assert!(refused.hint().is_some(), "{words}");
    }
}

#[test]
fn of_ranges_that_differ_no_other_rows_are_read() {
    let fixture = Fixture::with(&Rows::of(20_000).between("2025-04-01", "2025-04-08"));
    fixture.pull_all();
    fixture.on_stage("create index on pipeline.aidt_raw (\"timestamp\")");
    fixture.on_source(
        "insert into acid.lrs_statement_new
         select timestamptz '2025-04-01 12:00+00' + n * interval '1 day', acid.statement(77000 + n, false), 1
           from generate_series(1, 5) n",
    );
    fixture.on_source("vacuum analyze acid.lrs_statement_new");
    fixture.on_stage("vacuum analyze pipeline.aidt_raw");
    fixture.on_source("select pg_stat_reset()");
    fixture.on_stage("select pg_stat_reset()");
    let read = "coalesce(sum(seq_tup_read), 0) || ' ' || coalesce(sum(idx_tup_fetch), 0) \
                from pg_stat_user_tables where schemaname in ('acid', 'pipeline')";
    let read_on = |on: &dyn Fn(&str) -> String| {
        let said = on(&format!("select {read}"));
        let (scanned, fetched) = said.split_once(' ').expect("two numbers");
        (scanned.parse::<i64>().unwrap(), fetched.parse::<i64>().unwrap())
    };
    let on_source = |sql: &str| fixture.source_value(sql);
    let on_stage = |sql: &str| fixture.stage_value(sql);
    await_that("the statistics are anew", Duration::from_secs(10), || {
        read_on(&on_source) == (0, 0) && read_on(&on_stage) == (0, 0)
    });
    let repaired = Repair::by_counts().run(&fixture);
    assert_eq!((repaired.ranges, repaired.pulled), (5, 5));
    for on in [&on_source as &dyn Fn(&str) -> String, &on_stage] {
        await_that("the rows read are told", Duration::from_secs(12), || read_on(on).1 > 0);
        let (scanned, fetched) = read_on(on);
        assert_eq!(scanned, 0, "rows of sequential scans");
        // Five ranges of some hundred rows.
        assert!(fetched < 2_000, "{fetched} rows");
    }
    fixture.assert_all_rows();
}
