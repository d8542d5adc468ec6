//! The target counted: what is committed now, seen as the caller sees it.

#![allow(unsafe_code)]

use super::target::Target;
use crate::backend::query::select_now;
use crate::backend::time::Period;
use crate::error::Failure;
use crate::source::Checksum;
use pgrx::prelude::*;

/// Counts the target's rows of `period`; `hash` is an expression over its columns.
///
/// # Errors
/// [`Failure`] when SPI refuses; what the server throws (no privilege, say) passes through.
pub fn checksum(
    target: &Target,
    timestamp: &str,
    hash: &str,
    period: Period,
) -> Result<Checksum, Failure> {
    let sql = format!(
        include_str!("../../sql/target/checksum.sql"),
        target = target.sql_name,
        timestamp = pgrx::spi::quote_identifier(timestamp),
        hash = hash,
    );
    // SAFETY: two timestamps, by value.
    unsafe { select_checksum(&sql, &period.arguments()) }
}

/// Runs a query that ends in one row, a count and a hash.
///
/// # Errors
/// [`Failure`] when SPI refuses, or the row is another.
///
/// # Safety
/// As [`select_now`].
pub unsafe fn select_checksum(
    sql: &str,
    arguments: &[(pg_sys::Oid, pg_sys::Datum)],
) -> Result<Checksum, Failure> {
    // SAFETY: the arguments are the caller's word, the columns the query's.
    let rows = unsafe {
        select_now(sql, arguments, |row| {
            Checksum::from_columns(row.get::<i64>(c"count")?, &row.get::<String>(c"hash")?)
        })?
    };
    rows.into_iter().next().flatten().ok_or_else(|| Failure::internal("a count gave no number"))
}
