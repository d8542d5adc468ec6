//! The table `batch`: what a committed batch brought, and where the time went.

use super::difference::RangeDifference;
use super::{slice, stage};
use crate::backend::role::as_owner;
use crate::backend::time::{from_server, to_server};
use crate::error::Failure;
use crate::slice::{Key, Position};
use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// A batch: a row of the table, a row of `pull`'s result, and what a worker reports to its leader.
/// Of a fixed size, so that it fits a ring in shared memory. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Batch {
    /// Counts from 1 within its run; 0 for the empty end of a slice, which is no row of the table.
    pub batch_no: i32,
    pub slice_no: i32,
    /// Counts from 1; 0 for the caller's own backend.
    pub worker: i32,
    /// Rows that came from the source. Where the target's triggers and rules leave them alone, each is
    /// one of `rows`, of `rejected` or of `skipped`.
    pub read: i64,
    /// Rows that were inserted, as the server tells.
    pub rows: i64,
    pub rejected: i64,
    /// Rows whose unique key the target had already.
    pub skipped: i64,
    pub bytes: i64,
    /// Statements whose jsonb the server made.
    pub fallbacks: i64,
    /// The key of the last row.
    pub last: Option<Key>,
    /// Whether the slice ends with this batch.
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
    /// The range that was repaired, where the batch is no pull of a slice's next rows.
    pub range: Option<RangeDifference>,
}

impl Batch {
    /// Rows that went into the target or to `reject`.
    pub fn taken(&self) -> i64 {
        self.rows + self.rejected
    }

    /// Whether no row came with it.
    pub fn is_empty(&self) -> bool {
        self.read == 0 && self.rows == 0 && self.rejected == 0 && self.skipped == 0
    }
}

/// Writes a batch of `partition`, and `position` as its slice's watermark: once this is committed,
/// everything before it is loaded or rejected. A slice that is compared has none.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn record_batch(
    run_id: i64,
    batch: &Batch,
    partition: &str,
    position: Option<Position>,
) -> Result<(), Failure> {
    let (watermark, watermark_actor, block) = position.map(slice::watermark).unwrap_or_default();
    let write = || {
        Spi::run_with_args(
            include_str!("../../sql/ledger/record_batch.sql"),
            &[
                run_id.into(),
                batch.batch_no.into(),
                batch.slice_no.into(),
                partition.into(),
                batch.rows.into(),
                batch.rejected.into(),
                batch.bytes.into(),
                batch.last.and_then(|key| to_server(key.timestamp)).into(),
                batch.last.and_then(|key| key.actor).into(),
                batch.source_wait_ms.into(),
                batch.transform_ms.into(),
                batch.insert_ms.into(),
                batch.elapsed_ms.into(),
                watermark.into(),
                watermark_actor.into(),
                batch.slice_done.into(),
                batch.worker.into(),
                batch.fallbacks.into(),
                batch.lock_ms.into(),
                batch.throttle_ms.into(),
                stage::take_wal_bytes().into(),
                block.into(),
                batch.read.into(),
                batch.skipped.into(),
            ],
        )
    };
    as_owner(write).map_err(Failure::from)
}

/// When the last rows of the pipeline were loaded.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn last_loaded(pipeline_id: &str) -> Result<Option<DateTime<Utc>>, Failure> {
    let read = || {
        Spi::connect(|client| {
            let sql = include_str!("../../sql/ledger/last_loaded.sql");
            let mut rows = client.select(sql, Some(1), &[pipeline_id.into()])?;
            rows.next().map_or(Ok(None), |row| row.get::<TimestampWithTimeZone>(1))
        })
    };
    Ok(as_owner(read)?.and_then(from_server))
}

/// Writes the times that commits took, known only after them.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn record_commit_times(run_id: i64, times: &[(i32, f64)]) -> Result<(), Failure> {
    as_owner(|| {
        for (batch_no, ms) in times {
            Spi::run_with_args(
                include_str!("../../sql/ledger/commit_time.sql"),
                &[run_id.into(), (*batch_no).into(), (*ms).into()],
            )?;
        }
        Ok::<_, pgrx::spi::Error>(())
    })
    .map_err(Failure::from)
}
