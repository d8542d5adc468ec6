//! A source that falls silent, and one that answers thousands of times: silence is counted a statement.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Pair, Pull, Relay, Rows, Way, await_that, refusal, whole_text};

fn relayed(rows: i64, delay: Duration) -> (Fixture, Relay) {
    let fixture = Fixture::on(Pair::shared(), &Rows::of(rows));
    let way = Way::socket_of(&fixture.pair.source);
    let relay = Relay::new(delay, move |_| way.clone());
    fixture.read_through(&relay);
    fixture.on_stage("alter server lrs_source options (add statement_timeout '1s')");
    (fixture, relay)
}

#[test]
fn a_source_that_falls_silent_while_paused_is_given_up() {
    let (fixture, relay) = relayed(100, Duration::ZERO);
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select true', retries = 0");
    let running = fixture.start(&Pull::everything().jobs(1));
    await_that("the worker pauses", Duration::from_secs(20), || {
        fixture.stage_value("select count(*) from lrs_extract.workers where doing like 'paused%'")
            == "1"
    });
    relay.fall_silent();
    let begun = Instant::now();
    let refused = refusal(running.result());
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), "08006", "{words}");
    assert!(begun.elapsed() < Duration::from_secs(25), "after {:?}: {words}", begun.elapsed());
}

#[test]
fn a_survey_of_thousands_of_slices_over_a_long_link_comes_to_its_end() {
    let (fixture, _relay) = relayed(100, Duration::from_millis(70));
    fixture.on_stage("update lrs_extract.pipeline set slice_width = '1 hour', retries = 0");
    // A statement a slice would take minutes; all together take longer than the source may be silent.
    let mut stage = fixture.stage();
    stage.batch_execute("set statement_timeout = '60 s'").expect("a setting");
    let begun = Instant::now();
    let plan = "select count(*) from lrs_extract.plan('2025-03-01', '2025-07-01')";
    let slices: i64 = stage.query_one(plan, &[]).expect("a plan").get(0);
    assert_eq!(slices, 122 * 24);
    assert!(begun.elapsed() > Duration::from_secs(16), "only {:?}", begun.elapsed());
}
