//! Times in statements that come without a zone, or without a time.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

/// A fixture of one statement whose "when" is this text, mapped to columns of every kind of time.
fn fixture_of(when: &str) -> Fixture {
    let fixture = Fixture::with(&Rows::of(1));
    fixture.on_source(&format!(
        "update acid.lrs_statement_new set full_statement = full_statement || '{{\"when\": \"{when}\"}}'"
    ));
    fixture.on_stage(
        r#"alter table pipeline.aidt_raw add instant timestamptz, add clock timestamp, add day date;
           update lrs_extract.pipeline set mapping = mapping
             || '{"instant": {"path": ["when"]}, "clock": {"path": ["when"]}, "day": {"path": ["when"]}}'"#,
    );
    fixture
}

/// What a caller in that zone gets.
fn pulled_in(fixture: &Fixture, zone: &str, commit: &'static str) -> String {
    fixture
        .on_stage("truncate pipeline.aidt_raw; select lrs_extract.forget('-infinity', 'infinity')");
    let mut stage = fixture.stage();
    stage.batch_execute(&format!("set timezone = '{zone}'")).expect("a zone");
    let pulled =
        Pull::period("2025-03-01 00:00+00", "2025-08-01 00:00+00").commit(commit).run(&mut stage);
    assert_eq!(pulled.rows + pulled.rejected, 1);
    fixture.stage_value(
        "select coalesce((select concat_ws(' ', instant at time zone 'UTC', clock, day) from pipeline.aidt_raw),
                         (select sqlstate || ' ' || column_name from lrs_extract.reject))",
    )
}

#[test]
fn two_callers_get_the_same_instant_of_a_time_without_a_zone() {
    let fixture = fixture_of("2025-03-01T10:00:00");
    for commit in ["batch", "caller"] {
        for zone in ["UTC", "Asia/Seoul", "America/St_Johns"] {
            let got = pulled_in(&fixture, zone, commit);
            assert_eq!(got, "2025-03-01 10:00:00 2025-03-01 10:00:00 2025-03-01", "{zone}");
        }
    }
    fixture.on_stage("update lrs_extract.pipeline set time_zone = 'Asia/Seoul'");
    for zone in ["UTC", "Asia/Seoul"] {
        let got = pulled_in(&fixture, zone, "batch");
        assert_eq!(got, "2025-03-01 01:00:00 2025-03-01 10:00:00 2025-03-01", "{zone}");
    }
}

#[test]
fn a_time_with_a_zone_is_what_it_says() {
    let fixture = fixture_of("2025-03-01T10:00:00+02:00");
    fixture.on_stage("update lrs_extract.pipeline set time_zone = 'Asia/Seoul'");
    let got = pulled_in(&fixture, "UTC", "batch");
    assert!(got.starts_with("2025-03-01 08:00:00"), "{got}");
}

#[test]
fn the_session_keeps_its_own_zone_after_a_value_that_is_refused() {
    let fixture = fixture_of("no time");
    fixture.on_stage("update lrs_extract.pipeline set time_zone = 'Asia/Tokyo'");
    let mut stage = fixture.stage();
    stage.batch_execute("set timezone = 'Asia/Seoul'; begin").expect("a transaction");
    assert_eq!(Pull::everything().commit("caller").run(&mut stage).rejected, 1);
    let zone = stage.query_one("select extract(timezone from now())::int", &[]).expect("a zone");
    assert_eq!(zone.get::<_, i32>(0), 9 * 3600);
}

#[test]
fn a_time_of_the_moment_is_refused() {
    for when in ["now", "today", "Tomorrow", "yesterday 10:00"] {
        let fixture = fixture_of(when);
        let got = pulled_in(&fixture, "UTC", "batch");
        assert!(got.starts_with("22007 "), "{when}: {got}");
    }
}

#[test]
fn a_zone_that_the_server_does_not_know_is_refused_at_the_start() {
    let fixture = fixture_of("2025-03-01T10:00:00");
    fixture.on_stage("update lrs_extract.pipeline set time_zone = 'Asia/Sole'");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "22023", "{}", whole_text(&refused));
    assert!(
        refused.hint().is_some_and(|hint| hint.contains("time_zone")),
        "{}",
        whole_text(&refused)
    );
}
