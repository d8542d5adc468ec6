//! The table `slice`: slices claimed and closed, and the coverage that they add up to, read as
//! intervals and taken back by `forget`.

#![allow(unsafe_code)]

use crate::backend::query::{Row, select_now, text_argument};
use crate::backend::role::as_owner;
use crate::backend::time::{Period, from_server, to_server};
use crate::error::Failure;
use crate::slice::{Edge, Interval, Position, subtract};
use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Claims the next slice that no worker has; `None` when all are taken.
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

/// Gives a claimed slice back, of which nothing is pulled.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn release_slice(run_id: i64, slice_no: i32) -> Result<(), Failure> {
    let sql = include_str!("../../sql/ledger/release_slice.sql");
    as_owner(|| Spi::run_with_args(sql, &[run_id.into(), slice_no.into()])).map_err(Failure::from)
}

/// Takes a slice that was given back, unless another worker has claimed it by now; whether it did.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn reclaim_slice(run_id: i64, slice_no: i32, worker: i32) -> Result<bool, Failure> {
    let sql = include_str!("../../sql/ledger/reclaim_slice.sql");
    let arguments = [run_id.into(), slice_no.into(), worker.into()];
    let taken = || Spi::connect_mut(|client| client.update(sql, None, &arguments).map(|t| t.len()));
    Ok(as_owner(taken)? > 0)
}

/// Marks a slice whose end came without further rows.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn close_slice(run_id: i64, slice_no: i32, position: Position) -> Result<(), Failure> {
    let (timestamp, actor, block) = watermark(position);
    as_owner(|| {
        Spi::run_with_args(
            include_str!("../../sql/ledger/close_slice.sql"),
            &[run_id.into(), slice_no.into(), timestamp.into(), actor.into(), block.into()],
        )
    })
    .map_err(Failure::from)
}

/// Writes that a slice is tried again, and why.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn record_retry(run_id: i64, slice_no: i32, error: &str) -> Result<(), Failure> {
    as_owner(|| {
        Spi::run_with_args(
            include_str!("../../sql/ledger/record_retry.sql"),
            &[run_id.into(), slice_no.into(), error.into()],
        )
    })
    .map_err(Failure::from)
}

/// What earlier runs of the pipeline covered of `period`, in no order, each with the run's number.
///
/// Reads what is committed now, whatever snapshot the caller's transaction has.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn covered(pipeline_id: &str, period: Period) -> Result<Vec<(i64, Interval)>, Failure> {
    let [from, to] = period.arguments();
    let arguments = [text_argument(pipeline_id), from, to];
    // SAFETY: the values are of these types; the text lives in the caller's memory context.
    let intervals = as_owner(|| unsafe {
        select_now(include_str!("../../sql/ledger/coverage.sql"), &arguments, |row| read(row))
    })?;
    Ok(intervals.into_iter().flatten().collect())
}

/// What one slice covers.
///
/// # Safety
/// The row must be one of `sql/ledger/coverage.sql`.
unsafe fn read(row: &Row) -> Vec<(i64, Interval)> {
    // SAFETY: the columns of the query, in its types.
    let (run_id, start, end, forgotten) = unsafe {
        (
            row.get(c"run_id"),
            edge(row.get(c"from"), row.get(c"from_actor_id")),
            edge(row.get(c"watermark"), row.get(c"watermark_actor_id")),
            ranges(row.get(c"forgotten_from"), row.get(c"forgotten_to")),
        )
    };
    match (run_id, start, end) {
        (Some(run_id), Some(start), Some(end)) => subtract(Interval::new(start, end), &forgotten)
            .into_iter()
            .map(|interval| (run_id, interval))
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn edge(timestamp: Option<TimestampWithTimeZone>, actor: Option<i64>) -> Option<Edge> {
    let timestamp = timestamp.and_then(from_server)?;
    Some(actor.map_or(Edge::Before(timestamp), |actor| Edge::After(timestamp, actor)))
}

type Bounds = Option<Vec<Option<TimestampWithTimeZone>>>;

/// Ranges as intervals; an infinite bound stands for everything on its side.
fn ranges(from: Bounds, to: Bounds) -> Vec<Interval> {
    let bound = |t: Option<TimestampWithTimeZone>, open: DateTime<Utc>| {
        Edge::Before(t.and_then(from_server).unwrap_or(open))
    };
    from.unwrap_or_default()
        .into_iter()
        .zip(to.unwrap_or_default())
        .map(|(from, to)| {
            Interval::new(
                bound(from, DateTime::<Utc>::MIN_UTC),
                bound(to, DateTime::<Utc>::MAX_UTC),
            )
        })
        .collect()
}

/// Removes `period` from the coverage of the pipeline, and its rejects: the next pull reads those rows
/// again. Returns how many slices knew of it.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn forget(pipeline_id: &str, period: Period) -> Result<i64, Failure> {
    let touched = as_owner(|| drop_memory(pipeline_id, Some(period.from), Some(period.to)))?;
    Ok(touched as i64)
}

/// The same as the extension's owner; the number of slices.
pub(super) fn drop_memory(
    pipeline_id: &str,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
) -> Result<usize, pgrx::spi::Error> {
    Spi::connect_mut(|client| {
        let arguments = [pipeline_id.into(), from.into(), to.into()];
        client.update(include_str!("../../sql/ledger/forget_rejects.sql"), None, &arguments)?;
        let slices = include_str!("../../sql/ledger/forget.sql");
        client.update(slices, None, &arguments).map(|found| found.len())
    })
}

/// The columns of a slice's watermark: an edge's, and the block of a walk by heap.
pub fn watermark(position: Position) -> (Option<TimestampWithTimeZone>, Option<i64>, Option<i64>) {
    match position {
        Position::Key(edge) => {
            let (timestamp, actor) = columns(edge);
            (timestamp, actor, None)
        }
        Position::Block(block) => (None, None, Some(block.into())),
    }
}

/// The columns of an edge: its timestamp, and the actor after which it lies.
pub fn columns(edge: Edge) -> (Option<TimestampWithTimeZone>, Option<i64>) {
    (to_server(edge.timestamp()), edge.actor())
}
