//! The source's clock: the time before which all that was committed is visible there.

use super::error::SourceError;
use chrono::{DateTime, TimeDelta, Utc};
use postgres::Row;
use std::fmt;
use std::time::Duration;

/// What a source knew of the time when it was asked.
///
/// Everything that was committed before [`Clock::seen`] is visible to whatever asks the same server
/// later, so what is older than that by the pipeline's `settle` may be taken as complete:
///
/// | the source | `seen` |
/// | --- | --- |
/// | a primary | its clock |
/// | a standby | the commit time of the last transaction it has replayed, however long ago: under a paused replay, a `recovery_min_apply_delay`, a receiver that cannot connect, and where WAL comes from an archive alone |
/// | a standby that has replayed all that its sender had | the time of the sender's last message, where the role may read it (`pg_read_all_stats`); without that, an idle primary holds the time back |
/// | a standby that has replayed no transaction since its start | unknown |
/// | a subscriber of logical replication | the time of the publisher's last message that it has worked off |
///
/// Commit times are taken a moment before the commit is written, in no strict order: `settle` is the
/// margin for that too. What cannot be seen from a standby is whether its sender is a standby itself,
/// and cut off from the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    pub standby: bool,
    /// Whether it is held back by what the source, a subscriber, has applied.
    pub subscriber: bool,
    /// What the server's own clock said.
    time: DateTime<Utc>,
    /// Everything committed before it is visible; `None`: nothing is known of that.
    seen: Option<DateTime<Utc>>,
}

impl Clock {
    pub(super) const ACTION: &str = "ask the source for its clock";
    pub(super) const QUESTION: &str = include_str!("../../sql/source/clock.sql");

    /// From the answer to [`Clock::QUESTION`].
    ///
    /// # Errors
    /// [`SourceError`] for another answer.
    pub(super) fn read(row: &Row) -> Result<Clock, SourceError> {
        let failed = |e| SourceError::from_client(Clock::ACTION, &e);
        let seen: Option<i64> = row.try_get("seen_micros").map_err(failed)?;
        let time: i64 = row.try_get("clock_micros").map_err(failed)?;
        Ok(Clock {
            standby: row.try_get("standby").map_err(failed)?,
            subscriber: false,
            time: DateTime::from_timestamp_micros(time).unwrap_or(DateTime::UNIX_EPOCH),
            seen: seen.and_then(DateTime::from_timestamp_micros),
        })
    }

    /// Everything committed before it is visible; `None`: nothing is known of that.
    pub fn seen(&self) -> Option<DateTime<Utc>> {
        self.seen
    }

    /// How far the server's own clock is ahead of `time`; below zero: behind it.
    pub fn ahead_of(&self, time: DateTime<Utc>) -> TimeDelta {
        self.time - time
    }

    /// The same, where the rows come by a subscription that has worked off what came up to `heard`.
    pub fn of_subscriber(self, heard: DateTime<Utc>) -> Clock {
        Clock { subscriber: true, seen: self.seen.map(|seen| seen.min(heard)), ..self }
    }

    /// The end of what has settled; `None`: nothing has, as far as can be known.
    pub fn settled(&self, settle: Duration) -> Option<DateTime<Utc>> {
        self.seen?.checked_sub_signed(TimeDelta::from_std(settle).ok()?)
    }

    /// Refuses a server that does not show everything committed before `needed`. A standby that was
    /// restarted opens with what it had written down, which may be less than it showed before; and
    /// one address may lead to several of them.
    ///
    /// # Errors
    /// 57P03, to be tried again: a standby goes on replaying.
    pub fn check(&self, needed: DateTime<Utc>) -> Result<(), SourceError> {
        if !self.standby || self.seen.is_some_and(|seen| seen >= needed) {
            return Ok(());
        }
        Err(SourceError::transient(
            "read the source",
            "57P03",
            format!("it is {self}, and this run needs what was committed up to {needed}"),
        )
        .with_hint("The standby was restarted, or is not the one that the run began with. Once it has caught up, the same call continues from there."))
    }
}

/// What is behind `seen`, in words.
impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seen {
            Some(seen) if self.subscriber => {
                write!(f, "a subscriber that has worked off what its publisher sent up to {seen}")
            }
            _ if !self.standby => f.write_str("a primary"),
            Some(seen) => {
                let behind = (self.time - seen).max(TimeDelta::zero());
                let (seconds, tenths) = (behind.num_seconds(), behind.subsec_nanos() / 100_000_000);
                write!(
                    f,
                    "a standby that has replayed what was committed up to {seen}, {seconds}.{tenths} s behind"
                )
            }
            None => f.write_str("a standby that has replayed no transaction since its start"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Trouble;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn standby(seen: Option<&str>) -> Clock {
        Clock {
            standby: true,
            subscriber: false,
            time: at("2025-03-01T12:00:00Z"),
            seen: seen.map(at),
        }
    }

    #[test]
    fn what_is_settled_counts_from_what_is_seen() {
        let settle = Duration::from_secs(300);
        let behind = standby(Some("2025-03-01T11:00:00Z"));
        assert_eq!(behind.settled(settle), Some(at("2025-03-01T10:55:00Z")));
        assert_eq!(standby(None).settled(settle), None);
    }

    #[test]
    fn a_standby_that_shows_less_than_needed_is_to_be_tried_again() {
        let needed = at("2025-03-01T11:30:00Z");
        for short in [None, Some("2025-03-01T11:29:59Z")] {
            let refused = standby(short).check(needed);
            assert!(refused.is_err_and(|e| e.trouble == Trouble::Transient), "{short:?}");
        }
        assert!(standby(Some("2025-03-01T11:30:00Z")).check(needed).is_ok());
        let primary = Clock { standby: false, ..standby(Some("2025-03-01T11:00:00Z")) };
        assert!(primary.check(needed).is_ok());
    }

    #[test]
    fn a_standby_says_how_far_it_is_behind() {
        let words = standby(Some("2025-03-01T11:59:57.5Z")).to_string();
        assert!(words.ends_with("2.5 s behind"), "{words}");
        // The clocks of two servers differ.
        let words = standby(Some("2025-03-01T12:00:01Z")).to_string();
        assert!(words.ends_with("0.0 s behind"), "{words}");
    }
}
