//! The run ends where too many of its rows were rejected: by the pipeline's column `max_rejects`.

use super::context::{Counted, ExecutionContext};
use super::request::PullRequest;
use super::slice_walk::SliceWalk;
use crate::error::Failure;
use crate::ledger;

/// Counts rows of the walk, and holds the run's rejects against the bound, unless some of them get
/// another try.
///
/// # Errors
/// 53400 where there are too many, with what most of them were refused for.
pub fn count_rows(
    context: &mut impl ExecutionContext,
    request: &PullRequest,
    walk: &mut SliceWalk,
    rows: Counted,
) -> Result<(), Failure> {
    walk.counted += rows;
    let Counted { read, rejected } = context.count(rows);
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    if !walk.set_aside.is_empty() || !request.max_rejects.is_passed(number(read), number(rejected))
    {
        return Ok(());
    }
    let failure = Failure::new(
        "53400",
        format!("too many rows were rejected: {rejected} of {read} that the run has read"),
    );
    let failure = match ledger::most_frequent_reason(request.run_id)? {
        Some(reason) => failure.with_detail(reason),
        None => failure,
    };
    Err(failure.with_more_detail(&format!("{}.", request.max_rejects)).with_hint(format!(
        "Correct the target, the mapping or the source; on_conflict 'skip' leaves out rows that the target has already. To allow more: update lrs_extract.pipeline set max_rejects = '…' where name = {}; a number of rows, or a percentage. The same call continues.",
        pgrx::spi::quote_literal(&request.pipeline)
    )))
}
