//! Promise 2 without violence: a call goes on where others stopped, and pulls only what is not
//! covered.

use crate::fixture::{Fixture, Pull, Rows};

/// A fixture in which a pull of everything by key was cancelled half way; half a heap is a matter of
/// `heap_walk`.
fn fixture_cut_short(rows: &Rows) -> Fixture {
    let fixture = Fixture::with(rows);
    fixture.on_stage("update lrs_extract.pipeline set walk = 'key'");
    fixture.slow_target(60);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err(), "a cancelled call ends with an error");
    fixture.assert_nothing_left_running();
    fixture.quick_target();
    fixture
}

#[test]
fn the_same_call_goes_on_from_the_watermark() {
    let fixture = fixture_cut_short(&Rows::of(8_000).ties(3).nulls_every(2));
    let before = fixture.target_rows();
    assert!(before > 0 && before < 8_000, "cut in the middle, at {before} rows");
    let rest = Pull::everything().batch(200).run(&mut fixture.stage());
    assert_eq!(rest.rows, 8_000 - before);
    fixture.assert_all_rows();
}

#[test]
fn another_batch_size_and_number_of_jobs_go_on_just_as_well() {
    let fixture = fixture_cut_short(&Rows::of(8_000).ties(40).actors_per_tie(7).nulls_every(3));
    Pull::everything().batch(1_111).jobs(3).run(&mut fixture.stage());
    fixture.assert_all_rows();
}

#[test]
fn a_period_whose_edges_cut_through_unfinished_slices_pulls_what_is_missing_in_it() {
    let fixture = fixture_cut_short(&Rows::of(8_000).ties(3).nulls_every(2));
    let (from, to) = ("2025-03-04 05:06+00", "2025-06-17 18:19+00");
    Pull::period(from, to).batch(300).run(&mut fixture.stage());
    fixture.assert_same_rows(from, to);
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn another_slice_width_goes_on_just_as_well() {
    let fixture = fixture_cut_short(&Rows::of(8_000).ties(3).nulls_every(2));
    fixture.on_stage("update lrs_extract.pipeline set slice_width = interval '61 hours'");
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn a_period_inside_a_covered_one_pulls_nothing() {
    let fixture = Fixture::with(&Rows::of(2_000));
    fixture.pull_all();
    let inner = Pull::period("2025-04-03 01:00+00", "2025-05-20").run(&mut fixture.stage());
    assert_eq!(inner.rows, 0);
}

#[test]
fn a_period_around_a_covered_one_pulls_only_the_rest() {
    let fixture = Fixture::with(&Rows::of(2_000).ties(4));
    let inner = Pull::period("2025-04-03 01:00+00", "2025-05-20").run(&mut fixture.stage());
    let outer = fixture.pull_all();
    assert_eq!(inner.rows + outer.rows, 2_000);
    fixture.assert_all_rows();
}

#[test]
fn again_pulls_what_is_covered_already() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.pull_all();
    let second = Pull::everything().again().run(&mut fixture.stage());
    assert_eq!(second.rows, 1_000);
    assert_eq!(fixture.target_rows(), 2_000);
}

#[test]
fn a_range_that_was_pulled_again_is_still_covered() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.pull_all();
    Pull::period("2025-04-01", "2025-05-01").again().run(&mut fixture.stage());
    assert_eq!(fixture.pull_all().rows, 0);
}

#[test]
fn a_forgotten_range_and_no_other_is_pulled_again() {
    let fixture = Fixture::with(&Rows::of(2_000).ties(2));
    fixture.pull_all();
    fixture.on_stage(
        "delete from pipeline.aidt_raw
             where \"timestamp\" >= '2025-04-11 12:00+00' and \"timestamp\" < '2025-06-01 06:30+00';
         select lrs_extract.forget('2025-04-11 12:00+00', '2025-06-01 06:30+00', 'aidt')",
    );
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn forgetting_during_a_run_is_refused_or_doubles_nothing() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.slow_target(60);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(50).jobs(1));
    // The range begins in what is pulled already and ends in what is not.
    let _refused_or_not = fixture.stage().batch_execute(
        "delete from pipeline.aidt_raw
             where \"timestamp\" >= '2025-03-01 12:00+00' and \"timestamp\" < '2025-03-20';
         select lrs_extract.forget('2025-03-01 12:00+00', '2025-03-20', 'aidt')",
    );
    running.pulled();
    fixture.quick_target();
    fixture.pull_all();
    fixture.assert_all_rows();
}
