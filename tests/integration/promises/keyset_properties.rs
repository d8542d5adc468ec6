//! Promise 1 as a property: no rows, ties, nulls, batch size, period, slice width or number of
//! jobs loses a row or doubles one.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::fixture::{Fixture, Pull, Rows};

const CASES: u32 = 45;

/// The rows lie in these twelve days, across the end of a month.
const FIRST_DAY: &str = "2025-03-25";
const LAST_DAY: &str = "2025-04-06";
const MINUTES: i32 = 12 * 24 * 60;

#[derive(Clone, Debug)]
struct Case {
    rows: Rows,
    walk: &'static str,
    slice_hours: i32,
    first: (i32, i32),
    second: (i32, i32),
    batch: i64,
    jobs: i64,
}

fn cases() -> impl Strategy<Value = Case> {
    let rows = (0_i64..150, 1_i64..50, 1_i64..6, 0_i64..4, any::<bool>()).prop_map(
        |(count, ties, actors, nulls, in_key_order)| {
            let rows = Rows::of(count);
            let rows = if in_key_order { rows.in_key_order() } else { rows };
            rows.ties(ties).actors_per_tie(actors).nulls_every(nulls).between(FIRST_DAY, LAST_DAY)
        },
    );
    let walk = prop::sample::select(vec!["auto", "key", "heap"]);
    let call = (walk, 6_i32..400, period(), period(), 1_i64..60, 1_i64..4);
    (rows, call).prop_map(|(rows, (walk, slice_hours, first, second, batch, jobs))| Case {
        rows,
        walk,
        slice_hours,
        first,
        second,
        batch,
        jobs,
    })
}

/// Two different minutes of the twelve days, in order.
fn period() -> impl Strategy<Value = (i32, i32)> {
    (0..MINUTES, 1..MINUTES).prop_map(|(from, length)| (from, (from + length).min(MINUTES)))
}

#[test]
fn two_overlapping_pulls_leave_each_row_of_their_union_once() {
    let fixture = Fixture::with(&Rows::of(0));
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&cases(), |case| {
        pull_both_and_compare(&fixture, &case);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn pull_both_and_compare(fixture: &Fixture, case: &Case) {
    fixture.on_source("truncate acid.lrs_statement_new");
    case.rows.fill(&mut fixture.source());
    fixture.on_stage(&format!(
        "truncate pipeline.aidt_raw;
         select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt');
         update lrs_extract.pipeline set walk = '{}', slice_width = interval '{} hours'",
        case.walk, case.slice_hours
    ));
    for (from, to) in [case.first, case.second] {
        let (from, to) = (moment(from), moment(to));
        Pull::period(&from, &to).batch(case.batch).jobs(case.jobs).run(&mut fixture.stage());
        fixture.assert_same_rows(&from, &to);
    }
    assert_eq!(
        fixture.target_rows().to_string(),
        rows_in_union(fixture, case),
        "rows of the union"
    );
}

fn rows_in_union(fixture: &Fixture, case: &Case) -> String {
    let within = |(from, to): (i32, i32)| {
        format!("(\"timestamp\" >= '{}' and \"timestamp\" < '{}')", moment(from), moment(to))
    };
    fixture.source_value(&format!(
        "select count(*) from acid.lrs_statement_new where {} or {}",
        within(case.first),
        within(case.second)
    ))
}

/// A minute of the twelve days, as a timestamp in UTC.
fn moment(minute: i32) -> String {
    let (day, minute_of_day) = (25 + minute / 1_440, minute % 1_440);
    let (month, day) = if day > 31 { (4, day - 31) } else { (3, day) };
    format!("2025-{month:02}-{day:02} {:02}:{:02}:00+00", minute_of_day / 60, minute_of_day % 60)
}
