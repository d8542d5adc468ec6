//! Times of the server and times of chrono.

use crate::source::{from_wire, to_wire};
use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;

/// A timestamp for the server.
pub fn to_server(timestamp: DateTime<Utc>) -> Option<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(to_wire(timestamp)).ok()
}

/// A timestamp from the server; `None` for ±infinity and what chrono cannot hold.
pub fn from_server(timestamp: TimestampWithTimeZone) -> Option<DateTime<Utc>> {
    from_wire(timestamp.into_inner())
}
