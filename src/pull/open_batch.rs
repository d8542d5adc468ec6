//! A batch in the making: what has been loaded of it, and what that took.

use crate::backend::time::millis;
use crate::ledger::Batch;
use crate::load::Loaded;
use crate::threads::Waited;
use std::time::{Duration, Instant};

/// A batch that no checkpoint has closed yet.
pub struct OpenBatch {
    begun: Instant,
    /// What the main thread had waited when the batch began.
    waited_before: Waited,
    read: u64,
    rows: u64,
    bytes: usize,
    rejected: usize,
    skipped: u64,
    fallbacks: u64,
    convert: Duration,
    insert: Duration,
}

impl OpenBatch {
    pub fn begin(waited_before: Waited) -> Self {
        OpenBatch {
            begun: Instant::now(),
            waited_before,
            read: 0,
            rows: 0,
            bytes: 0,
            rejected: 0,
            skipped: 0,
            fallbacks: 0,
            convert: Duration::ZERO,
            insert: Duration::ZERO,
        }
    }

    /// Adds bytes that came over the wire.
    pub fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Adds a flush, which took the place of `dropped` rejects.
    pub fn add_flush(&mut self, loaded: &Loaded, dropped: usize) {
        self.read += loaded.read.saturating_sub(dropped as u64);
        self.rows += loaded.rows;
        self.rejected += loaded.rejects.len().saturating_sub(dropped);
        self.skipped += loaded.skipped;
        self.fallbacks += loaded.fallbacks;
        self.convert += loaded.convert;
        self.insert += loaded.insert;
    }

    /// The time since it began, in milliseconds.
    pub fn elapsed_ms(&self) -> f64 {
        millis(self.begun.elapsed())
    }

    /// What it came to, when the main thread has waited `waited` in all.
    pub fn sum(&self, waited: Waited) -> Batch {
        let waited = waited.since(self.waited_before);
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Batch {
            read: count(self.read),
            rows: count(self.rows),
            rejected: count(self.rejected as u64),
            skipped: count(self.skipped),
            bytes: count(self.bytes as u64),
            fallbacks: count(self.fallbacks),
            source_wait_ms: millis(waited.source),
            transform_ms: millis(waited.transform + self.convert),
            insert_ms: millis(self.insert),
            throttle_ms: millis(waited.throttle),
            ..Batch::default()
        }
    }
}
