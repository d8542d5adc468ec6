//! The table `reject` as a side of a comparison.

#![allow(unsafe_code)]

use crate::backend::role::as_owner;
use crate::error::Failure;
use crate::load::{StagePlace, StageRow, numbered_stage_sums, stage_row, stage_rows, stage_sums};
use crate::source::{Checksum, Question, Rows, Side, TimeRange, quote_literal};

/// What the pipeline's `runs` rejected; `hash` is an expression over the text `statement`.
pub fn reject_side(pipeline_id: &str, runs: &[i64], hash: &str) -> Side {
    let runs = runs.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    Side {
        relation: "lrs_extract.reject".to_owned(),
        timestamp: "\"timestamp\"".to_owned(),
        hash: hash.to_owned(),
        // The text may be what no jsonb can hold.
        id: "null::pg_catalog.text".to_owned(),
        only: format!(
            " and pipeline_id = {}::pg_catalog.uuid and run_id = any ('{{{runs}}}'::pg_catalog.int8[])",
            quote_literal(pipeline_id)
        ),
        has_index: true,
    }
}

/// What rejects come to, range by range.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn reject_sums(
    side: &Side,
    ranges: &[TimeRange],
    hashed: bool,
) -> Result<Vec<Checksum>, Failure> {
    as_owner(|| stage_sums(side, ranges, hashed))
}

/// What the rejects of a question come to.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn numbered_reject_sums(question: &Question) -> Result<Vec<(i64, Checksum)>, Failure> {
    as_owner(|| numbered_stage_sums(question))
}

/// Rejects as rows of the stage.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn reject_rows(side: &Side, rows: &Rows) -> Result<Vec<StageRow>, Failure> {
    let question = side.rows(rows, ", reject_id, altered or statement is null as unread");
    as_owner(|| {
        stage_rows(&question, |row| {
            // SAFETY: the columns of the question, in its types.
            let (reject_id, unread) = unsafe { (row.get(c"reject_id")?, row.get(c"unread")?) };
            stage_row(row, StagePlace::Reject { reject_id, unread })
        })
    })
}
