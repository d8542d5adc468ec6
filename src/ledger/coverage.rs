//! The memory of what a pipeline has pulled: read as intervals, taken back by `forget`.

use super::{as_owner, from_server, to_server};
use crate::error::Failure;
use crate::slice::{Edge, Interval, subtract};
use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// What earlier runs of `pipeline` covered of `[from, to)`, in no order.
///
/// Reads what is committed now, whatever snapshot the caller's transaction has.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
#[allow(unsafe_code)]
pub fn covered(
    pipeline: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> Result<Vec<Interval>, Failure> {
    // SAFETY: the snapshot is popped below; an error aborts the transaction, which pops it.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let intervals = as_owner(|| read(pipeline, from, to));
    // SAFETY: pushed above.
    unsafe { pg_sys::PopActiveSnapshot() };
    Ok(intervals?)
}

fn read(
    pipeline: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> Result<Vec<Interval>, pgrx::spi::Error> {
    Spi::connect(|client| {
        let sql = include_str!("../../sql/ledger/coverage.sql");
        let mut intervals = Vec::new();
        for row in client.select(sql, None, &[pipeline.into(), from.into(), to.into()])? {
            let start = edge(row.get(1)?, row.get(2)?);
            let end = edge(row.get(3)?, row.get(4)?);
            let (Some(start), Some(end)) = (start, end) else { continue };
            let forgotten: Vec<Interval> = ranges(row.get(5)?, row.get(6)?);
            intervals.extend(subtract(Interval::new(start, end), &forgotten));
        }
        Ok(intervals)
    })
}

fn edge(timestamp: Option<TimestampWithTimeZone>, actor: Option<i64>) -> Option<Edge> {
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

/// Takes `[from, to)` out of the memory of `pipeline`; returns how many slices knew of it.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn forget(
    pipeline: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> Result<i64, Failure> {
    let touched = as_owner(|| {
        Spi::connect_mut(|client| {
            let sql = include_str!("../../sql/ledger/forget.sql");
            client
                .update(sql, None, &[pipeline.into(), from.into(), to.into()])
                .map(|found| found.len())
        })
    })?;
    Ok(touched as i64)
}

/// The columns of an edge: its timestamp, and the actor after which it lies.
pub fn columns(edge: Edge) -> (Option<TimestampWithTimeZone>, Option<i64>) {
    (to_server(edge.timestamp()), edge.actor())
}
