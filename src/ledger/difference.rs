//! The table `difference`: ranges in which source and stage differed, and what was done about them.

use crate::backend::role::as_owner;
use crate::backend::time::to_server;
use crate::error::Failure;
use chrono::{DateTime, Utc};
use pgrx::prelude::*;

/// A range in which both sides differed: a row of the table, and of the result of `repair`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeDifference {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// What both sides had before.
    pub source_rows: i64,
    pub target_rows: i64,
    pub rejected_rows: i64,
    /// Rows of the source that the stage lacked.
    pub missing: i64,
    /// Rows of the stage that the source lacked.
    pub surplus: i64,
    /// Pairs of them with the same id.
    pub changed: i64,
    /// Rows that were deleted.
    pub deleted: i64,
}

/// Writes a range that batch `batch_no` has repaired, in its transaction; so many rows were `pulled`.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn record_difference(
    run_id: i64,
    batch_no: i32,
    partition: &str,
    range: &RangeDifference,
    pulled: i64,
) -> Result<(), Failure> {
    let write = || {
        Spi::run_with_args(
            include_str!("../../sql/ledger/record_difference.sql"),
            &[
                run_id.into(),
                batch_no.into(),
                partition.into(),
                to_server(range.from).into(),
                to_server(range.to).into(),
                range.source_rows.into(),
                range.target_rows.into(),
                range.rejected_rows.into(),
                range.missing.into(),
                range.surplus.into(),
                range.changed.into(),
                pulled.into(),
                range.deleted.into(),
            ],
        )
    };
    as_owner(write).map_err(Failure::from)
}
