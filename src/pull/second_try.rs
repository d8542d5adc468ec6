//! Rows that were set aside while each INSERT checked deferred constraints: what they need may have come
//! since, in a later flush or batch of the same transaction.

use super::memory::FLUSH_BYTES;
use super::request::PullRequest;
use super::slice_walk::SliceWalk;
use crate::error::Failure;
use crate::ledger::{self, Batch, SetAside};
use crate::load::{Loader, RejectedRow};
use crate::maintenance::Refit;

/// Writes what a flush of batch `batch_no` set aside; `again`: it may get another try.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn set_aside(
    request: &PullRequest,
    walk: &mut SliceWalk,
    batch_no: i32,
    rejects: &[RejectedRow],
    again: bool,
) -> Result<(), Failure> {
    let numbers = ledger::record_rejects(request.run_id, batch_no, &request.pipeline, rejects)?;
    if again {
        walk.set_aside.push(SetAside::of(batch_no, rejects, &numbers, FLUSH_BYTES));
    }
    Ok(())
}

/// Has the rejects of what is about to be committed tried again, as long as that helps.
///
/// # Errors
/// [`Failure`] as [`Loader::flush`] gives it, or when the ledger cannot be written.
pub fn second_try(
    request: &PullRequest,
    walk: &mut SliceWalk,
    loader: &mut Loader,
) -> Result<(), Failure> {
    let set_aside = std::mem::take(&mut walk.set_aside);
    let mut pieces: Vec<(i32, Vec<i64>)> = set_aside
        .into_iter()
        .flat_map(|of| of.pieces.into_iter().map(move |piece| (of.batch_no, piece)))
        .collect();
    if pieces.is_empty() {
        return Ok(());
    }
    let refit = Refit::start(request.mapping.clone(), &request.table.actor)?;
    let mut helped = true;
    while helped {
        helped = false;
        for (batch_no, piece) in &mut pieces {
            let stored = ledger::stored_rejects(std::mem::take(piece))?;
            let fitted = refit.take_with_immediate_constraints(loader, stored)?;
            piece.extend(fitted.kept.into_iter().map(|(number, _)| number));
            if fitted.taken.is_empty() {
                continue;
            }
            helped = true;
            let (rows, taken) = (count(fitted.rows), fitted.taken.len() as i64);
            let (run_id, slice_no) = (request.run_id, walk.slice.slice_no);
            ledger::settle_rejects(run_id, slice_no, *batch_no, &fitted.taken, rows)?;
            if let Some(batch) = walk.uncommitted.iter_mut().find(|b| b.batch_no == *batch_no) {
                *batch =
                    Batch { rows: batch.rows + rows, rejected: batch.rejected - taken, ..*batch };
            }
        }
        pieces.retain(|(_, piece)| !piece.is_empty());
    }
    Ok(())
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
