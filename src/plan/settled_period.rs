//! What of a period has settled: from its first row to the source's clock less `settle`.

use crate::error::{notice, warning};
use crate::source::{Clock, Session, SourceError, Subscription, Table};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// The part of a period whose rows are all to be seen on the source.
#[derive(Clone, Debug)]
pub struct SettledPeriod {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Everything committed before this was visible on the source; those who read the period rely on
    /// it.
    pub committed_until: Option<DateTime<Utc>>,
    /// The NOTICE about a period that was clipped.
    clipped: Option<String>,
    /// The WARNING that rows may be missing from it all the same.
    incomplete: Option<String>,
}

impl SettledPeriod {
    /// Asks the source where `[from, to)` begins and ends; `None` is infinite.
    ///
    /// An infinite start is the first row, an infinite end is what has settled; where nothing has,
    /// the period is empty.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn of(
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        settle: Duration,
        table: &Table,
        session: &mut Session,
    ) -> Result<SettledPeriod, SourceError> {
        let settled = table.clock.settled(settle);
        let from = match from {
            Some(from) => Some(from),
            None => table.extreme(session, true)?,
        };
        let (start, end) = match settled {
            Some(settled) => {
                let end = to.map_or(settled, |to| to.min(settled));
                (from.unwrap_or(end).min(end), end)
            }
            None => {
                let nowhere = from.unwrap_or(DateTime::UNIX_EPOCH);
                (nowhere, nowhere)
            }
        };
        Ok(SettledPeriod {
            from: start,
            to: end,
            committed_until: TimeDelta::from_std(settle)
                .ok()
                .and_then(|settle| end.checked_add_signed(settle)),
            clipped: clipped(to, &table.clock, settled, settle),
            incomplete: table.subscription.as_ref().and_then(Subscription::warning),
        })
    }

    /// Sends the caller a NOTICE where the period was clipped, and a WARNING where it may lack rows.
    pub fn notify(&self) {
        if let Some(clipped) = &self.clipped {
            notice(clipped);
        }
        if let Some(incomplete) = &self.incomplete {
            warning(incomplete);
        }
    }
}

/// Why nothing of a source with that clock has settled.
pub fn nothing_settled(clock: &Clock) -> String {
    format!("the source is {clock}, so nothing can be taken as settled")
}

/// When it has.
pub const FIRST_COMMIT: &str = "once its primary has committed something";

/// The text of the NOTICE, where the period goes beyond what has settled.
fn clipped(
    to: Option<DateTime<Utc>>,
    clock: &Clock,
    settled: Option<DateTime<Utc>>,
    settle: Duration,
) -> Option<String> {
    let Some(settled) = settled else {
        return Some(format!(
            "the period is empty: {}; call again {FIRST_COMMIT}",
            nothing_settled(clock)
        ));
    };
    if to.is_some_and(|to| to <= settled) {
        return None;
    }
    let clock = if clock.standby || clock.subscriber {
        format!("the source is {clock};")
    } else {
        "the source's clock".to_owned()
    };
    Some(format!(
        "the period ends at {settled}: {clock} less settle ({} s); what is younger comes with a later call",
        settle.as_secs()
    ))
}
