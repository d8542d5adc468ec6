//! A worker of `pull`: claims slices and pulls them, beside others.

#![allow(unsafe_code)]

use super::context::{Counted, ExecutionContext, Phase};
use super::puller::Puller;
use super::request::PullRequest;
use super::slice_walk::SliceWalk;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::backend::transaction::{Unit, catching, in_transaction};
use crate::error::{Failure, warning};
use crate::ledger::{self, Batch};
use crate::pg_compat;
use crate::pool::{Caller, Worker};
use crate::slice::Slice;
use pgrx::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// The worker's whole work.
///
/// # Errors
/// What ended it before its end; the batches before are committed, and the run is marked.
pub fn work(worker: &Worker<'_>, request: PullRequest) -> Result<(), Failure> {
    request.caller.connect_worker()?;
    let request = Arc::new(request);
    let context = WorkerContext { worker, request: request.clone(), announced: None, reads: false };
    let mut puller = Puller::new(context, request.clone());
    let outcome = catching(|| {
        open(worker, &request)?;
        pull_all(&mut puller, &request)
    });
    let stopped = worker.control().is_stopped();
    close(worker, &mut puller, &request, outcome.as_ref().err(), stopped);
    outcome
}

/// The first worker writes the run and its slices; the others wait for that.
fn open(worker: &Worker<'_>, request: &PullRequest) -> Result<(), Failure> {
    let control = worker.control();
    if request.is_dry_run() {
        return Ok(());
    }
    // Held until the process ends.
    in_transaction(|| ledger::lock_as_worker(&request.pipeline, &request.pipeline_id))?;
    if worker.number() == 1 {
        in_transaction(|| ledger::open_run(&request.new_run(worker.leader_pid())))?;
        control.set_opened();
        return Ok(());
    }
    while !control.is_opened() && !control.is_stopped() {
        latch::wait(None, POLL_INTERVAL / 10);
    }
    Ok(())
}

fn pull_all(puller: &mut Puller<WorkerContext<'_>>, request: &PullRequest) -> Result<(), Failure> {
    if request.is_dry_run() {
        return compare_all(puller, request);
    }
    loop {
        puller.context.check_stop()?;
        let worker = puller.context.worker();
        let claim = || in_transaction(|| ledger::claim_slice(request.run_id, worker));
        let claimed = match claim()? {
            None if puller.context.end_reading() => claim()?,
            claimed => claimed,
        };
        let Some(slice_no) = claimed else { return Ok(()) };
        let slice = request
            .slice(slice_no)
            .ok_or_else(|| Failure::internal(format!("no slice {slice_no} in the request")))?;
        if slice.compared {
            match puller.compare_slice(slice)? {
                true => continue,
                false => return Ok(()),
            }
        }
        let mut walk = SliceWalk::new(slice.clone());
        while !walk.is_done() {
            puller.advance(&mut walk)?;
            if walk.given_back {
                return Ok(());
            }
        }
    }
}

/// The same of a run that is not in the ledger: its slices are claimed by number.
fn compare_all(
    puller: &mut Puller<WorkerContext<'_>>,
    request: &PullRequest,
) -> Result<(), Failure> {
    while let Some(slice) = request.slice(puller.context.number_batch()) {
        puller.context.check_stop()?;
        puller.compare_slice(slice)?;
    }
    Ok(())
}

/// Writes what is left to write: late times, and the run's end where this worker is the one to
/// know it.
fn close(
    worker: &Worker<'_>,
    puller: &mut Puller<WorkerContext<'_>>,
    request: &PullRequest,
    failure: Option<&Failure>,
    stopped: bool,
) {
    let last = worker.control().leave();
    if request.is_dry_run() {
        return;
    }
    let cancelled = pg_compat::was_cancelled();
    let written = undisturbed(|| {
        puller.record_commit_times()?;
        match failure {
            Some(failure) if stopped || cancelled && failure.sqlstate == "57014" => {
                ledger::close_run(request.run_id, "cancelled", Some(failure))
            }
            Some(failure) => ledger::close_run(request.run_id, "failed", Some(failure)),
            None if last && !stopped => ledger::close_run(request.run_id, "done", None),
            None => Ok(()),
        }
    });
    if let Err(failure) = written {
        warning(&format!(
            "lrs_extract could not write the end of run {}: {failure}",
            request.run_id
        ));
    }
}

/// Runs `f` in a transaction of its own that no cancel ends: one that comes too late to be of use must
/// not keep a run's end from being written.
pub(super) fn undisturbed<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // SAFETY: the counter that holds cancels off in this process; an error sets it to zero too.
    unsafe { pg_sys::QueryCancelHoldoffCount = 1 };
    let outcome = in_transaction(f);
    // SAFETY: as above.
    unsafe {
        pg_sys::QueryCancelHoldoffCount = 0;
        pg_sys::QueryCancelPending = 0;
    }
    outcome
}

/// The recorder's whole work: a worker died without reporting an outcome, so another process writes how the run
/// ended.
pub fn record_failure(caller: &Caller, run_id: i64, failure: &Failure) {
    let written = caller
        .connect_worker()
        .and_then(|()| in_transaction(|| ledger::close_run(run_id, "failed", Some(failure))));
    if let Err(failure) = written {
        warning(&format!("lrs_extract could not write the end of run {run_id}: {failure}"));
    }
}

struct WorkerContext<'a> {
    worker: &'a Worker<'a>,
    request: Arc<PullRequest>,
    /// The slice and the phase that pg_stat_activity shows.
    announced: Option<(i32, Phase)>,
    /// Whether it is counted among those that read.
    reads: bool,
}

impl WorkerContext<'_> {
    /// This one counts as reading no longer; whether it did. It may end only if it finds no slice after this.
    fn end_reading(&mut self) -> bool {
        let did = std::mem::take(&mut self.reads);
        if did {
            self.worker.control().end_reading();
        }
        did
    }
}

impl ExecutionContext for WorkerContext<'_> {
    fn begin(&mut self) -> Unit {
        Unit::begin_transaction()
    }

    fn number_batch(&mut self) -> i32 {
        self.worker.control().number_batch()
    }

    fn count(&mut self, rows: Counted) -> Counted {
        let (read, rejected) = self.worker.control().count_rows(rows.read, rows.rejected);
        Counted { read, rejected }
    }

    fn report(&mut self, batch: Batch) {
        self.worker.report(&batch);
    }

    fn announce(&mut self, slice: &Slice, phase: Phase) {
        if self.announced == Some((slice.slice_no, phase)) {
            return;
        }
        self.announced = Some((slice.slice_no, phase));
        self.worker.announce(&format!(
            "lrs_extract run {} slice {} ({}): {}",
            self.request.run_id,
            slice.slice_no,
            slice.partition,
            phase.as_str()
        ));
    }

    fn warn(&mut self, text: &str) {
        warning(&format!(
            "lrs_extract run {} worker {}: {text}",
            self.request.run_id,
            self.worker()
        ));
        self.worker.warn(text);
    }

    fn note_reading(&mut self) {
        if !std::mem::replace(&mut self.reads, true) {
            self.worker.control().begin_reading();
        }
    }

    fn give_back(&mut self, slice: &Slice) -> Result<bool, Failure> {
        if self.request.is_dry_run() {
            return Ok(false);
        }
        // In this order: whoever reads then, looks for slices after this one is free.
        self.end_reading();
        if self.worker.control().reading() == 0 {
            return Ok(false);
        }
        in_transaction(|| ledger::release_slice(self.request.run_id, slice.slice_no))?;
        if self.worker.control().reading() > 0 {
            return Ok(true);
        }
        // The last of them has ended meanwhile, perhaps with this slice.
        let run_id = self.request.run_id;
        Ok(!in_transaction(|| ledger::reclaim_slice(run_id, slice.slice_no, self.worker()))?)
    }

    fn check_stop(&mut self) -> Result<(), Failure> {
        self.worker.check_stop()
    }

    fn take_lock_time(&mut self) -> Duration {
        self.worker.take_lock_time()
    }

    fn readers(&self) -> u32 {
        self.worker.control().active()
    }

    fn worker(&self) -> i32 {
        self.worker.number()
    }
}
