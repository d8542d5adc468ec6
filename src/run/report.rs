//! What the workers tell the leader, in values of a fixed size that fit a ring in shared memory.

use crate::slice::Key;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A duration in the unit of the reports: milliseconds, to the microsecond.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_micros() as f64) / 1_000.0
}

/// A committed batch, as `pull` returns it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct BatchReport {
    pub batch_no: i32,
    pub slice_no: i32,
    pub rows: i64,
    pub rejected: i64,
    pub bytes: i64,
    /// Microseconds since 2000-01-01 and actor of the last row; see the two flags.
    pub last_timestamp: i64,
    pub last_actor: i64,
    pub has_last: bool,
    pub has_actor: bool,
    /// Whether the slice is at its end with this batch.
    pub slice_done: bool,
    pub source_wait_ms: f64,
    pub transform_ms: f64,
    pub insert_ms: f64,
    /// Of the whole, spent in waiting for locks; sampled.
    pub lock_ms: f64,
    /// Held back by `pause_while` or `max_bytes_per_second`.
    pub throttle_ms: f64,
    pub commit_ms: f64,
    pub elapsed_ms: f64,
}

impl BatchReport {
    /// Sets the last row's key.
    pub fn set_last(&mut self, last: Option<Key>) {
        self.has_last = last.is_some();
        if let Some(key) = last {
            self.last_timestamp = crate::source::to_wire(key.timestamp);
            self.has_actor = key.actor.is_some();
            self.last_actor = key.actor.unwrap_or_default();
        }
    }

    pub fn last_timestamp(&self) -> Option<DateTime<Utc>> {
        self.has_last.then(|| crate::source::from_wire(self.last_timestamp)).flatten()
    }

    pub fn last_actor(&self) -> Option<i64> {
        (self.has_last && self.has_actor).then_some(self.last_actor)
    }

    /// Whether any row came with it.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.rejected == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_survives_with_its_null() {
        let timestamp = "2025-03-01T00:00:00.000001Z".parse().unwrap();
        for actor in [None, Some(-7)] {
            let mut report = BatchReport::default();
            report.set_last(Some(Key { timestamp, actor }));
            assert_eq!(report.last_timestamp(), Some(timestamp));
            assert_eq!(report.last_actor(), actor);
        }
        assert_eq!(BatchReport::default().last_timestamp(), None);
    }
}
