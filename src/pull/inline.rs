//! `commit => 'caller'`: the steps of a worker in the caller's backend and transaction.

#![allow(unsafe_code)]

use super::context::{Counted, ExecutionContext, Phase};
use super::progress::Progress;
use super::puller::Puller;
use super::request::PullRequest;
use super::slice_walk::SliceWalk;
use crate::backend::client;
use crate::backend::transaction::Unit;
use crate::error::{Failure, notice, warning};
use crate::ledger::{self, Batch};
use crate::slice::Slice;
use pgrx::pg_sys;
use std::collections::VecDeque;
use std::sync::Arc;

/// A run in the caller's transaction: an iterator over its batches.
pub struct Inline {
    puller: Puller<InlineContext>,
    request: Arc<PullRequest>,
    slices: VecDeque<Slice>,
    walk: Option<SliceWalk>,
    progress: Progress,
    /// The subtransaction that the run was begun in.
    level: pg_sys::SubTransactionId,
    closed: bool,
}

#[derive(Default)]
struct InlineContext {
    numbered: i32,
    counted: Counted,
    committed: VecDeque<Batch>,
}

impl Inline {
    /// Opens the run in the ledger.
    ///
    /// # Errors
    /// [`Failure`] when the ledger cannot be written.
    pub fn start(request: Arc<PullRequest>) -> Result<Inline, Failure> {
        let leader_pid = i32::try_from(std::process::id()).unwrap_or(0);
        ledger::open_run(&request.new_run(leader_pid))?;
        Ok(Inline {
            puller: Puller::new(InlineContext::default(), request.clone()),
            slices: request.slices.iter().cloned().collect(),
            walk: None,
            progress: Progress::new(&request),
            request,
            level: current_level(),
            closed: false,
        })
    }

    /// Pulls the next batch; `None` at the end of the run.
    ///
    /// # Errors
    /// [`Failure`] that ends the run; the caller's transaction takes everything back.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, Failure> {
        if current_level() != self.level {
            // What was loaded inside may be rolled back on its own, and this walk would not know.
            return Err(Failure::new(
                "55000",
                "a pull with commit => 'caller' cannot continue in a different subtransaction from the one in which it began",
            )
            .with_detail("A savepoint was set or released, or an exception block entered or left, while its rows were being read.")
            .with_hint("Read its rows to their end before the next savepoint."));
        }
        loop {
            while let Some(batch) = self.puller.context.committed.pop_front() {
                if let Some(text) = self.progress.warning(&batch) {
                    warning(&text);
                }
                if let Some(text) = self.progress.add(&batch) {
                    notice(&text);
                }
                if !batch.is_empty() {
                    return Ok(Some(batch));
                }
            }
            let mut walk = match self.walk.take().filter(|walk| !walk.is_done()) {
                Some(walk) => walk,
                None => match self.slices.pop_front() {
                    Some(slice) if slice.compared => {
                        self.puller.compare_slice(&slice)?;
                        continue;
                    }
                    Some(slice) => SliceWalk::new(slice),
                    None => return self.close(),
                },
            };
            self.puller.advance(&mut walk)?;
            self.walk = Some(walk);
        }
    }

    fn close(&mut self) -> Result<Option<Batch>, Failure> {
        if !self.closed {
            self.closed = true;
            self.puller.record_commit_times()?;
            ledger::close_run(self.request.run_id, "done", None)?;
        }
        Ok(None)
    }
}

fn current_level() -> pg_sys::SubTransactionId {
    // SAFETY: reads the state of the transaction that is open.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

impl ExecutionContext for InlineContext {
    fn begin(&mut self) -> Unit {
        Unit::begin_subtransaction()
    }

    fn number_batch(&mut self) -> i32 {
        self.numbered += 1;
        self.numbered
    }

    fn count(&mut self, rows: Counted) -> Counted {
        self.counted += rows;
        self.counted
    }

    fn report(&mut self, batch: Batch) {
        self.committed.push_back(batch);
    }

    fn announce(&mut self, _: &Slice, _: Phase) {
        // The backend's activity shows the caller's own statement.
    }

    fn warn(&mut self, text: &str) {
        notice(text);
    }

    fn check_stop(&mut self) -> Result<(), Failure> {
        pgrx::check_for_interrupts!();
        client::check_client();
        Ok(())
    }

    fn worker(&self) -> i32 {
        0
    }
}
