//! The source's clock: what has settled counts from it.

use super::answer::Answer;
use super::finding::{Findings, Name};
use crate::error::Failure;
use crate::ledger::Pipeline;
use crate::plan::{FIRST_COMMIT, nothing_settled};
use crate::source::Subscription;
use chrono::TimeDelta;
use pgrx::spi::quote_identifier;
use std::time::Duration;

/// A network's delays are shorter.
const TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// Compares it with the stage's, and looks at what holds it back.
pub fn check(answer: &Answer, pipeline: &Pipeline, findings: &mut Findings) {
    let reading = match &answer.source.clock {
        Ok(reading) => reading,
        Err(error) => {
            findings.fails(Name::Clock, error.clone());
            return;
        }
    };
    let table = answer.source.table.as_ref().ok().map(|answer| &answer.table);
    let incomplete = table.and_then(|table| table.subscription.as_ref());
    if let Some(incomplete) = incomplete.and_then(Subscription::warning) {
        let hint =
            "On the source: select * from pg_stat_subscription; alter subscription … enable;";
        findings.fails(Name::Clock, Failure::new("55000", incomplete).with_hint(hint));
    }
    // That of a subscriber is known with its table.
    let clock = table.map_or(reading.clock, |table| table.clock);
    if clock.settled(pipeline.settle).is_none() {
        let failure = Failure::new("55000", nothing_settled(&clock))
            .with_hint(format!("Check and pull again {FIRST_COMMIT}."));
        findings.fails(Name::Clock, failure);
    }
    if let Some(failure) = difference(reading.ahead, pipeline.settle) {
        findings.fails(Name::Clock, failure);
    }
    let facts = answer.source.facts.as_ref().ok();
    let sees_no_sender = facts.filter(|facts| facts.is_standby && !facts.reads_all_stats);
    let advice = sees_no_sender.map(|facts| {
        format!(
            "While its primary is idle, a standby's clock stands still for a role that may not see its sender. On the primary: grant pg_read_all_stats to {};",
            quote_identifier(&facts.role)
        )
    });
    let found = format!(
        "{clock}; its clock and the stage's differ by {:.1} s; settle is {} s",
        seconds(reading.ahead),
        pipeline.settle.as_secs()
    );
    findings.passes_with_advice(Name::Clock, found, advice);
}

/// What is wrong with clocks that differ.
fn difference(ahead: TimeDelta, settle: Duration) -> Option<Failure> {
    let side = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    (ahead.abs() > TOLERANCE).then(|| {
        Failure::new(
            "55000",
            format!("the source's clock is {:.1} s {side} the stage's", seconds(ahead)),
        )
        .with_hint(format!(
            "Set both servers' clocks right (NTP). What has settled counts from the source's: where that is ahead, settle ({} s) leaves less time for late commits than it says.",
            settle.as_secs()
        ))
    })
}

fn seconds(difference: TimeDelta) -> f64 {
    difference.abs().num_milliseconds() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_by_more_than_a_network_delays_are_told() {
        let told = |seconds| {
            difference(TimeDelta::seconds(seconds), Duration::from_secs(300)).map(|f| f.message)
        };
        assert_eq!([told(0), told(-4), told(5)], [None, None, None]);
        assert_eq!(told(-60).as_deref(), Some("the source's clock is 60.0 s behind the stage's"));
        assert_eq!(told(7).as_deref(), Some("the source's clock is 7.0 s ahead of the stage's"));
    }
}
