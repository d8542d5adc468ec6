//! What was set aside, counted.

#![allow(unsafe_code)]

use super::period_arguments;
use crate::backend::role::as_owner;
use crate::error::Failure;
use crate::load::select_tally;
use crate::source::Tally;
use pgrx::datum::TimestampWithTimeZone;

/// Counts the rejects of `pipeline` in `[from, to)`; `hash` is an expression over `statement`.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn rejected(
    pipeline: &str,
    hash: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> Result<Tally, Failure> {
    let sql = format!(include_str!("../../sql/ledger/rejected_rows.sql"), hash = hash);
    let arguments = period_arguments(pipeline, from, to);
    // SAFETY: the values are of these types; the text lives in the caller's memory context.
    as_owner(|| unsafe { select_tally(&sql, &arguments) })
}
