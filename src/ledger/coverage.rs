//! The memory of what a pipeline has pulled: read as intervals, taken back by `forget`.

use super::period_arguments;
use crate::backend::query::{Row, select_now};
use crate::backend::role::as_owner;
use crate::backend::time::{from_server, to_server};
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
    let arguments = period_arguments(pipeline, from, to);
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
#[allow(unsafe_code)]
unsafe fn read(row: &Row) -> Vec<Interval> {
    // SAFETY: the columns of the query, in its types.
    let (start, end, forgotten) = unsafe {
        (
            edge(row.get(c"from"), row.get(c"from_actor_id")),
            edge(row.get(c"watermark"), row.get(c"watermark_actor_id")),
            ranges(row.get(c"forgotten_from"), row.get(c"forgotten_to")),
        )
    };
    match (start, end) {
        (Some(start), Some(end)) => subtract(Interval::new(start, end), &forgotten),
        _ => Vec::new(),
    }
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

/// Takes `[from, to)` out of the memory of `pipeline`, its rejects too: whoever pulls it again meets
/// them again. Returns how many slices knew of it.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn forget(
    pipeline: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> Result<i64, Failure> {
    let touched = as_owner(|| drop_memory(pipeline, Some(from), Some(to)))?;
    Ok(touched as i64)
}

/// The same as the extension's owner; the number of slices.
pub(super) fn drop_memory(
    pipeline: &str,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
) -> Result<usize, pgrx::spi::Error> {
    Spi::connect_mut(|client| {
        let arguments = [pipeline.into(), from.into(), to.into()];
        client.update(include_str!("../../sql/ledger/forget_rejects.sql"), None, &arguments)?;
        let slices = include_str!("../../sql/ledger/forget.sql");
        client.update(slices, None, &arguments).map(|found| found.len())
    })
}

/// The columns of an edge: its timestamp, and the actor after which it lies.
pub fn columns(edge: Edge) -> (Option<TimestampWithTimeZone>, Option<i64>) {
    (to_server(edge.timestamp()), edge.actor())
}
