//! The entries of a run at work: slices claimed, batches recorded with their watermark.

use super::{coverage, stage};
use crate::backend::role::as_owner;
use crate::backend::time::to_server;
use crate::error::Failure;
use crate::load::RejectedRow;
use crate::slice::{Edge, Key};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// What is written of a batch.
#[derive(Clone, Debug)]
pub struct BatchEntry<'a> {
    pub run_id: i64,
    pub batch_no: i32,
    pub slice_no: i32,
    pub worker: i32,
    pub partition: &'a str,
    pub rows: i64,
    pub rejected: i64,
    pub bytes: i64,
    /// Statements whose jsonb the server made.
    pub fallbacks: i64,
    pub last: Option<Key>,
    pub source_wait_ms: f64,
    pub transform_ms: f64,
    pub insert_ms: f64,
    pub lock_ms: f64,
    pub throttle_ms: f64,
    pub elapsed_ms: f64,
    /// Everything before it is loaded or rejected once this entry is committed.
    pub watermark: Edge,
    pub slice_done: bool,
}

/// Takes the next slice that nobody works on; `None` when all are taken.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn claim_slice(run_id: i64, worker: i32) -> Result<Option<i32>, Failure> {
    as_owner(|| {
        Spi::connect_mut(|client| {
            let sql = include_str!("../../sql/ledger/claim_slice.sql");
            match client.update(sql, None, &[run_id.into(), worker.into()])?.next() {
                Some(row) => row.get::<i32>(1),
                None => Ok(None),
            }
        })
    })
    .map_err(Failure::from)
}

/// Writes a batch and its slice's new watermark.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn record_batch(entry: &BatchEntry<'_>) -> Result<(), Failure> {
    as_owner(|| write_batch(entry)).map_err(Failure::from)
}

fn write_batch(entry: &BatchEntry<'_>) -> Result<(), pgrx::spi::Error> {
    let (watermark, watermark_actor) = coverage::columns(entry.watermark);
    Spi::connect_mut(|client| {
        client.update(
            include_str!("../../sql/ledger/record_batch.sql"),
            None,
            &[
                entry.run_id.into(),
                entry.batch_no.into(),
                entry.slice_no.into(),
                entry.partition.into(),
                entry.rows.into(),
                entry.rejected.into(),
                entry.bytes.into(),
                entry.last.and_then(|key| to_server(key.timestamp)).into(),
                entry.last.and_then(|key| key.actor).into(),
                entry.source_wait_ms.into(),
                entry.transform_ms.into(),
                entry.insert_ms.into(),
                entry.elapsed_ms.into(),
                watermark.into(),
                watermark_actor.into(),
                entry.slice_done.into(),
                entry.worker.into(),
                entry.fallbacks.into(),
                entry.lock_ms.into(),
                entry.throttle_ms.into(),
                stage::take_wal_bytes().into(),
            ],
        )?;
        Ok(())
    })
}

/// Writes rows that were set aside, in the transaction of their batch.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn record_rejects(
    run_id: i64,
    batch_no: i32,
    pipeline: &str,
    rejects: &[RejectedRow],
) -> Result<(), Failure> {
    if rejects.is_empty() {
        return Ok(());
    }
    as_owner(|| {
        for reject in rejects {
            Spi::run_with_args(
                include_str!("../../sql/ledger/record_reject.sql"),
                &[
                    run_id.into(),
                    batch_no.into(),
                    pipeline.into(),
                    TimestampWithTimeZone::try_from(reject.timestamp).ok().into(),
                    reject.actor.into(),
                    reject.column.as_str().into(),
                    reject.sqlstate.as_str().into(),
                    reject.message.as_str().into(),
                    reject.statement.as_deref().into(),
                    reject.extra.as_deref().into(),
                    reject.altered.into(),
                ],
            )?;
        }
        Ok::<_, pgrx::spi::Error>(())
    })
    .map_err(Failure::from)
}

/// Marks a slice whose end came without further rows.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn close_slice(run_id: i64, slice_no: i32, watermark: Edge) -> Result<(), Failure> {
    let (timestamp, actor) = coverage::columns(watermark);
    as_owner(|| {
        Spi::run_with_args(
            include_str!("../../sql/ledger/close_slice.sql"),
            &[run_id.into(), slice_no.into(), timestamp.into(), actor.into()],
        )
    })
    .map_err(Failure::from)
}

/// Writes that a slice is tried again, and why.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn note_retry(run_id: i64, slice_no: i32, error: &str) -> Result<(), Failure> {
    as_owner(|| {
        Spi::run_with_args(
            include_str!("../../sql/ledger/note_retry.sql"),
            &[run_id.into(), slice_no.into(), error.into()],
        )
    })
    .map_err(Failure::from)
}

/// Writes the times that commits took, known only after them.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn note_commit_times(run_id: i64, times: &[(i32, f64)]) -> Result<(), Failure> {
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
