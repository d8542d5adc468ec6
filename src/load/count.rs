//! The target counted: what is committed now, seen as the caller sees it.

#![allow(unsafe_code)]

use super::target::Target;
use crate::backend::query::select_now;
use crate::error::Failure;
use crate::source::Tally;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Counts the target's rows of `[from, to)`; `hash` is an expression over its columns.
///
/// # Errors
/// [`Failure`] when SPI refuses; what the server throws (no privilege, say) passes through.
pub fn tally(
    target: &Target,
    timestamp: &str,
    hash: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> Result<Tally, Failure> {
    let sql = format!(
        include_str!("../../sql/ledger/target_rows.sql"),
        target = target.sql_name,
        timestamp = pgrx::spi::quote_identifier(timestamp),
        hash = hash,
    );
    let period = [from, to].map(|t| (pg_sys::TIMESTAMPTZOID, pg_sys::Datum::from(t.into_inner())));
    // SAFETY: two timestamps, by value.
    unsafe { select_tally(&sql, &period) }
}

/// Runs a query that ends in one row, a count and a hash.
///
/// # Errors
/// [`Failure`] when SPI refuses, or the row is another.
///
/// # Safety
/// As [`select_now`].
pub unsafe fn select_tally(
    sql: &str,
    arguments: &[(pg_sys::Oid, pg_sys::Datum)],
) -> Result<Tally, Failure> {
    // SAFETY: the arguments are the caller's word, the columns the query's.
    let rows = unsafe {
        select_now(sql, arguments, |row| {
            Tally::from_columns(row.get::<i64>(c"count")?, &row.get::<String>(c"hash")?)
        })?
    };
    rows.into_iter().next().flatten().ok_or_else(|| Failure::internal("a count gave no number"))
}
