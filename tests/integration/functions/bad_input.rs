//! Arguments that make no sense are refused with a class 22 SQLSTATE and a hint.

use crate::fixture::{Fixture, Rows, refusal, whole_text};

/// Each call is refused as an invalid value, in words that name what is wrong with it.
fn assert_refused(calls: &[(&str, &str)]) {
    assert_refused_as("22", calls);
}

/// The same with the SQLSTATE that it begins with.
fn assert_refused_as(sqlstate: &str, calls: &[(&str, &str)]) {
    let fixture = Fixture::with(&Rows::of(10));
    for (arguments, said) in calls {
        let refused =
            refusal(fixture.stage().query(&format!("select * from lrs_extract.{arguments}"), &[]));
        let words = whole_text(&refused);
        assert!(refused.code().code().starts_with(sqlstate), "{arguments}: {words}");
        assert!(refused.hint().is_some(), "{arguments}: a hint in {words}");
        assert!(words.contains(said), "{arguments}: {said:?} in {words}");
    }
    assert_eq!((fixture.target_rows(), fixture.committed_batches()), (0, 0));
}

#[test]
fn a_null_argument_is_refused() {
    assert_refused(&[
        ("pull(null, '2025-08-01')", "from"),
        ("pull('2025-03-01', null)", "to"),
        ("pull('2025-03-01', '2025-08-01', null)", "batch"),
        ("pull('2025-03-01', '2025-08-01', 10, null)", "pipeline"),
        ("pull('2025-03-01', '2025-08-01', jobs => null)", "jobs"),
        ("pull('2025-03-01', '2025-08-01', commit => null)", "commit"),
        ("pull('2025-03-01', '2025-08-01', again => null)", "again"),
        ("plan(null, '2025-08-01')", "from"),
    ]);
}

#[test]
fn a_reversed_period_is_refused() {
    assert_refused(&[
        ("pull('2025-08-01', '2025-03-01')", "from"),
        ("plan('2025-08-01', '2025-03-01')", "from"),
    ]);
}

#[test]
fn a_batch_below_one_is_refused() {
    assert_refused(&[
        ("pull('2025-03-01', '2025-08-01', 0)", "batch"),
        ("pull('2025-03-01', '2025-08-01', -5)", "batch"),
    ]);
}

#[test]
fn jobs_below_one_are_refused() {
    assert_refused(&[("pull('2025-03-01', '2025-08-01', jobs => 0)", "jobs")]);
}

#[test]
fn an_unknown_pipeline_is_refused() {
    // An object that does not exist.
    assert_refused_as(
        "42704",
        &[
            ("pull('2025-03-01', '2025-08-01', 10, 'adit')", "adit"),
            ("plan('2025-03-01', '2025-08-01', 'adit')", "adit"),
        ],
    );
}

#[test]
fn an_unknown_commit_boundary_is_refused_with_the_words_there_are() {
    assert_refused(&[
        ("pull('2025-03-01', '2025-08-01', commit => 'row')", "batch"),
        ("pull('2025-03-01', '2025-08-01', commit => 'row')", "slice"),
        ("pull('2025-03-01', '2025-08-01', commit => 'row')", "caller"),
    ]);
}

/// A period that no source could fill is clipped to what it has.
fn assert_clipped(from: &str, to: &str) {
    let fixture = Fixture::with(&Rows::of(300));
    let call = format!("select * from lrs_extract.pull('{from}', '{to}', 50)");
    fixture.stage().query(&call, &[]).expect("clipped");
    fixture.assert_all_rows();
}

#[test]
fn an_endless_period_takes_all_that_is_settled() {
    assert_clipped("-infinity", "infinity");
}

#[test]
fn times_beyond_any_calendar_are_clipped() {
    assert_clipped("4000-01-01 BC", "290000-01-01");
}

#[test]
fn an_unknown_word_for_bad_values_is_refused_by_the_pipeline_table() {
    let fixture = Fixture::with(&Rows::of(0));
    let update = "update lrs_extract.pipeline set on_bad_value = 'shrug'";
    assert_eq!(refusal(fixture.stage().batch_execute(update)).code().code(), "23514");
}

#[test]
fn cancelling_a_run_that_never_was_is_refused_in_words() {
    let fixture = Fixture::with(&Rows::of(0));
    let refused = refusal(fixture.stage().query("select lrs_extract.cancel(424242)", &[]));
    assert_eq!(refused.code().code(), "42704", "{}", whole_text(&refused));
    assert!(refused.message().contains("424242"), "{}", whole_text(&refused));
    assert!(refused.hint().is_some(), "{}", whole_text(&refused));
}
