//! Rows that were set aside while each INSERT checked deferred constraints: what they need may have come
//! since, in a later flush or batch of the same transaction.

use super::context::{Counted, ExecutionContext};
use super::memory::FLUSH_BYTES;
use super::request::PullRequest;
use super::slice_walk::SliceWalk;
use super::too_many::count_rows;
use crate::error::Failure;
use crate::ledger::{self, Batch, SetAside};
use crate::load::{Loaded, Loader};
use crate::maintenance::Refit;

/// Writes what a flush of batch `batch_no` set aside; `again`: it may get another try.
///
/// # Errors
/// As [`count_rows`], and [`Failure`] when the ledger cannot be written.
pub fn set_aside(
    context: &mut impl ExecutionContext,
    request: &PullRequest,
    walk: &mut SliceWalk,
    batch_no: i32,
    loaded: &Loaded,
    again: bool,
) -> Result<(), Failure> {
    let rejects = &loaded.rejects;
    let numbers = ledger::record_rejects(request.run_id, batch_no, &request.pipeline, rejects)?;
    if again {
        walk.set_aside.push(SetAside::of(batch_no, rejects, &numbers, FLUSH_BYTES));
    }
    count_rows(context, request, walk, Counted::of(loaded.read, rejects.len()))
}

/// Has the rejects of what is about to be committed tried again, as long as that helps.
///
/// # Errors
/// As [`count_rows`] and [`Loader::flush`], and [`Failure`] when the ledger cannot be written.
pub fn second_try(
    context: &mut impl ExecutionContext,
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
        return count_rows(context, request, walk, Counted::default());
    }
    let mut fitting = 0;
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
            let [rows, skipped] = [fitted.rows, fitted.skipped].map(count);
            let taken = fitted.taken.len() as i64;
            fitting += taken;
            let (run_id, slice_no) = (request.run_id, walk.slice.slice_no);
            ledger::settle_rejects(run_id, slice_no, *batch_no, &fitted.taken, rows, skipped)?;
            if let Some(batch) = walk.uncommitted.iter_mut().find(|b| b.batch_no == *batch_no) {
                *batch = Batch {
                    rows: batch.rows + rows,
                    rejected: batch.rejected - taken,
                    skipped: batch.skipped + skipped,
                    ..*batch
                };
            }
        }
        pieces.retain(|(_, piece)| !piece.is_empty());
    }
    count_rows(context, request, walk, Counted { read: 0, rejected: -fitting })
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
