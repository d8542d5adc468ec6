//! What a pull does about statements that came late: with `lookback` of its pipeline, or a repair after it.

use crate::fixture::{Fixture, Pull, Repair, Rows};

/// The day of March 2025 with that number, as a timestamp in UTC.
fn day(n: i64) -> String {
    format!("2025-03-{n:02} 00:00+00")
}

/// On day `n`: statements of that day, and some whose devices were offline, of the days before. Under old keys, too.
fn a_day_of_production(fixture: &Fixture, n: i64) {
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new
         select '{today}'::timestamptz + s * interval '3 minutes', acid.statement({n} * 10000 + s, s % 50 = 0), nullif(s % 4, 0)
           from generate_series(0, 479) s;
         insert into acid.lrs_statement_new
         select '{today}'::timestamptz - s * s * interval '21 minutes', acid.statement({n} * 10000 + 1000 + s, s % 7 = 0), nullif(s % 3, 0)
           from generate_series(1, 10) s
          where '{today}'::timestamptz - s * s * interval '21 minutes' >= '2025-03-01'",
        today = day(n)
    ));
}

fn pull_day(fixture: &Fixture, n: i64) -> i64 {
    Pull::period(&day(n), &day(n + 1)).run(&mut fixture.stage()).rows
}

#[test]
fn a_pull_of_each_day_and_a_repair_never_fall_behind() {
    let fixture = Fixture::with(&Rows::of(0));
    let mut late = 0;
    for n in 1..=10 {
        a_day_of_production(&fixture, n);
        pull_day(&fixture, n);
        late += Repair::by_counts().period("2025-03-01 00:00+00", &day(n + 1)).run(&fixture).pulled;
        fixture.assert_same_rows("2025-03-01", "2025-08-01");
    }
    assert!(late > 50, "{late} statements came late");
}

#[test]
fn with_lookback_the_pull_itself_brings_what_came_late() {
    for commit in ["batch", "caller"] {
        let fixture = Fixture::with(&Rows::of(0));
        fixture.on_stage("update lrs_extract.pipeline set lookback = '3 days'");
        for n in 1..=4 {
            a_day_of_production(&fixture, n);
            Pull::period(&day(n), &day(n + 1)).commit(commit).run(&mut fixture.stage());
            fixture.assert_same_rows("2025-03-01", "2025-08-01");
        }
        let runs = "select concat_ws(' ', count(*), count(*) filter (where r.state = 'done'), count(distinct d.run_id) > 0)
                      from lrs_extract.runs r left join lrs_extract.difference d using (run_id) where r.kind = 'pull'";
        assert!(fixture.stage_value(runs).ends_with(" t"), "{commit}");
    }
}

#[test]
fn lookback_ends_where_it_is_told_to() {
    let fixture = Fixture::with(&Rows::of(0));
    for n in 1..=3 {
        a_day_of_production(&fixture, n);
    }
    Pull::period(&day(1), &day(4)).run(&mut fixture.stage());
    let late = |at: &str| {
        fixture.on_source(&format!(
            "insert into acid.lrs_statement_new values ('{at}', acid.statement(77, false), 1)"
        ));
    };
    late("2025-03-01 11:59+00");
    late("2025-03-02 12:00+00");
    late("2025-03-03 12:00+00");
    fixture.on_stage("update lrs_extract.pipeline set lookback = '36 hours'");
    // All of the day is pulled, and what came late to it is no matter of looking back.
    assert_eq!(pull_day(&fixture, 3), 1);
    fixture.assert_same_rows(&day(2), &day(3));
    assert_eq!(Repair::by_counts().run(&fixture).pulled, 2);
    fixture.assert_all_rows();
}

#[test]
fn nothing_is_looked_back_on_that_was_never_pulled() {
    let fixture = Fixture::with(&Rows::of(3_000));
    fixture.on_stage("update lrs_extract.pipeline set lookback = '40 days'");
    let pulled = Pull::period("2025-05-01", "2025-06-01").run(&mut fixture.stage());
    assert_eq!(pulled.rows, fixture.target_rows());
    fixture.assert_same_rows("2025-05-01", "2025-06-01");
}
