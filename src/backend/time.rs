//! Times of the server and times of chrono.

use crate::source::{from_wire, to_wire};
use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A timestamp for the server.
pub fn to_server(timestamp: DateTime<Utc>) -> Option<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(to_wire(timestamp)).ok()
}

/// A timestamp from the server; `None` for ±infinity and what chrono cannot hold.
pub fn from_server(timestamp: TimestampWithTimeZone) -> Option<DateTime<Utc>> {
    from_wire(timestamp.into_inner())
}

/// A period: `[from, to)`, either side possibly infinite, as the server writes it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "(i64, i64)", into = "(i64, i64)")]
pub struct Period {
    pub from: TimestampWithTimeZone,
    pub to: TimestampWithTimeZone,
}

impl From<Period> for (i64, i64) {
    /// Microseconds since 2000-01-01.
    fn from(period: Period) -> Self {
        (period.from.into_inner(), period.to.into_inner())
    }
}

impl TryFrom<(i64, i64)> for Period {
    type Error = &'static str;

    fn try_from((from, to): (i64, i64)) -> Result<Self, Self::Error> {
        let bound = |micros: i64| {
            TimestampWithTimeZone::try_from(micros).map_err(|_| "a bound that no timestamp has")
        };
        Ok(Period { from: bound(from)?, to: bound(to)? })
    }
}

impl Period {
    /// Both bounds as arguments of a query.
    pub fn arguments(self) -> [(pg_sys::Oid, pg_sys::Datum); 2] {
        [self.from, self.to].map(|t| (pg_sys::TIMESTAMPTZOID, pg_sys::Datum::from(t.into_inner())))
    }
}

/// A duration in the unit of the ledger: milliseconds, to the microsecond.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_micros() as f64) / 1_000.0
}
