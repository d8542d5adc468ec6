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
    intervals
}

/// Reads by SPI itself: only what it runs as read-only uses the snapshot that was pushed, and
/// pgrx's client does that only until the transaction has written anything.
#[allow(unsafe_code)]
fn read(
    pipeline: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> Result<Vec<Interval>, Failure> {
    let mut types = [pg_sys::TEXTOID, pg_sys::TIMESTAMPTZOID, pg_sys::TIMESTAMPTZOID];
    let mut intervals = Vec::new();
    // SAFETY: the arguments outlive the call; the tuples are read before SPI_finish frees them.
    unsafe {
        let mut values = [
            pipeline.into_datum().unwrap_or(pg_sys::Datum::from(0)),
            pg_sys::Datum::from(from.into_inner()),
            pg_sys::Datum::from(to.into_inner()),
        ];
        pg_sys::SPI_connect();
        let code = pg_sys::SPI_execute_with_args(
            COVERAGE.as_ptr(),
            3,
            types.as_mut_ptr(),
            values.as_mut_ptr(),
            std::ptr::null(),
            true,
            0,
        );
        if code != pg_sys::SPI_OK_SELECT as i32 {
            return Err(Failure::internal(format!("SPI code {code}")));
        }
        let table = pg_sys::SPI_tuptable;
        for n in 0..pg_sys::SPI_processed as usize {
            let row = Row { tuple: *(*table).vals.add(n), descriptor: (*table).tupdesc };
            let start = edge(row.get(1), row.get(2));
            let end = edge(row.get(3), row.get(4));
            let (Some(start), Some(end)) = (start, end) else { continue };
            let forgotten = ranges(row.get(5), row.get(6));
            intervals.extend(subtract(Interval::new(start, end), &forgotten));
        }
        pg_sys::SPI_finish();
    }
    Ok(intervals)
}

const COVERAGE: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
    concat!(include_str!("../../sql/ledger/coverage.sql"), "\0").as_bytes(),
) {
    Ok(sql) => sql,
    Err(_) => c"",
};

/// A row of SPI's result.
struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// # Safety
    /// The tuple must still be there, and column `n`, from 1, of the type `T`.
    #[allow(unsafe_code)]
    unsafe fn get<T: FromDatum>(&self, n: i32) -> Option<T> {
        let mut null = false;
        // SAFETY: as the caller promises.
        unsafe {
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, n, &mut null);
            T::from_datum(datum, null)
        }
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
