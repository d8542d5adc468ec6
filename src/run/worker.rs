//! The worker: a dynamic background worker that does a [`Task`]. The main one, pulling, is here.

#![allow(unsafe_code)]

use super::chore;
use super::place::{Phase, Place};
use super::report::BatchReport;
use super::request::{Request, SliceRequest};
use super::shared::{Shared, Slot};
use super::step::{Puller, Walk};
use super::task::Task;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::backend::memory;
use crate::backend::transaction::{Unit, catching, in_transaction};
use crate::error::Failure;
use crate::ledger::{self, NewRun};
use crate::pg_compat;
use pgrx::prelude::*;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

/// A worker's number and the segment it reads from, packed into the one argument it gets.
pub struct WorkerArgument {
    pub segment: u32,
    /// From 1; 0 for the one that only writes down how a run ended.
    pub number: u16,
}

impl WorkerArgument {
    pub fn pack(&self) -> pg_sys::Datum {
        pg_sys::Datum::from(u64::from(self.number) << 32 | u64::from(self.segment))
    }

    fn unpack(datum: pg_sys::Datum) -> Self {
        let packed = datum.value() as u64;
        WorkerArgument { segment: (packed & 0xffff_ffff) as u32, number: (packed >> 32) as u16 }
    }
}

/// Entry point; named in [`super::crew`] when the worker is registered.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn lrs_extract_worker_main(argument: pg_sys::Datum) {
    let argument = WorkerArgument::unpack(argument);
    // SAFETY: in a worker that has just started.
    unsafe {
        pg_compat::heed_signals();
        pg_sys::BackgroundWorkerUnblockSignals();
    }
    memory::keep_freed_memory();
    // The leader may have gone already, and the segment with it.
    let Some(shared) = Shared::attach(argument.segment) else { return };
    if argument.number == 0 {
        write_outcome(&shared);
        return;
    }
    let slot = shared.slot(usize::from(argument.number) - 1);
    let outcome = shared.task().and_then(|task| match task {
        Task::Pull(request) => work(&shared, slot, request.into_owned(), &argument),
        Task::Dedup(request) => chore::work(&shared, slot, &*request),
        Task::Replay(request) => chore::work(&shared, slot, &*request),
    });
    match outcome {
        Ok(()) => slot.finish(),
        Err(failure) => slot.fail(&failure),
    }
    wake_leader();
}

fn work(
    shared: &Shared,
    slot: &Slot,
    request: Request,
    argument: &WorkerArgument,
) -> Result<(), Failure> {
    request.actor.take_over();
    let request = Arc::new(request);
    let number = i32::from(argument.number);
    let place = WorkerPlace { shared, slot, request: request.clone(), number, announced: None };
    let mut puller = Puller::new(place, request.clone());
    let outcome = catching(|| {
        open(shared, &request, number)?;
        pull_all(&mut puller, &request)
    });
    let stopped = shared.control().is_stopped();
    close(shared, &mut puller, &request, outcome.as_ref().err(), stopped);
    outcome
}

/// The first worker writes the run and its slices; the others wait for that.
fn open(shared: &Shared, request: &Request, number: i32) -> Result<(), Failure> {
    let control = shared.control();
    // Held until the process ends.
    in_transaction(|| ledger::lock_as_worker(&request.pipeline))?;
    if number == 1 {
        in_transaction(|| ledger::open_run(&NewRun { request, leader_pid: leader_pid() }))?;
        control.set_opened();
        return Ok(());
    }
    while !control.is_opened() && !control.is_stopped() {
        latch::wait(None, POLL_INTERVAL / 10);
    }
    Ok(())
}

fn pull_all(puller: &mut Puller<WorkerPlace<'_>>, request: &Request) -> Result<(), Failure> {
    loop {
        puller.place.look_around()?;
        let worker = puller.place.worker();
        let Some(slice_no) = in_transaction(|| ledger::claim_slice(request.run_id, worker))? else {
            return Ok(());
        };
        let slice = request
            .slice(slice_no)
            .ok_or_else(|| Failure::internal(format!("no slice {slice_no} in the request")))?;
        let mut walk = Walk::new(slice.clone());
        while !walk.is_done() {
            puller.advance(&mut walk)?;
        }
    }
}

/// Writes what is left to write: late times, and the run's end where this worker is the one to
/// know it.
fn close(
    shared: &Shared,
    puller: &mut Puller<WorkerPlace<'_>>,
    request: &Request,
    failure: Option<&Failure>,
    stopped: bool,
) {
    let last = shared.control().leave();
    let cancelled = pg_compat::was_cancelled();
    let written = undisturbed(|| {
        puller.note_commit_times()?;
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
        warning!("lrs_extract could not write the end of run {}: {failure}", request.run_id);
    }
}

/// Does `f` in a transaction of its own that no cancel ends: one that comes too late to be of use
/// must not keep a run's end from being written.
fn undisturbed<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
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

/// The clerk's whole work: a worker died without a word, so somebody else writes that down.
fn write_outcome(shared: &Shared) {
    let Ok(Task::Pull(request)) = shared.task() else { return };
    request.actor.take_over();
    let failure = shared.slot(0).failure();
    let written = in_transaction(|| ledger::close_run(request.run_id, "failed", Some(&failure)));
    if let Err(failure) = written {
        warning!("lrs_extract could not write the end of run {}: {failure}", request.run_id);
    }
}

fn leader_pid() -> i32 {
    // SAFETY: set by the postmaster before the worker starts.
    unsafe { (*pg_sys::MyBgworkerEntry).bgw_notify_pid }
}

/// Wakes the leader, if it is still there.
fn wake_leader() {
    // SAFETY: the process table's entry stays in place; a latch set in vain does no harm.
    unsafe {
        let leader = pg_sys::BackendPidGetProc(leader_pid());
        if !leader.is_null() {
            pg_sys::SetLatch(&mut (*leader).procLatch);
        }
    }
}

/// Looks for a reason to stop.
///
/// # Errors
/// The reason: an interrupt, the leader's word, or that the leader has gone.
pub fn look_around(shared: &Shared) -> Result<(), Failure> {
    check_for_interrupts!();
    if shared.control().is_stopped() {
        return Err(Failure::new("57014", "the run was stopped"));
    }
    // SAFETY: a look at the process table.
    let leader_gone = unsafe { pg_sys::BackendPidGetProc(leader_pid()).is_null() };
    if leader_gone {
        return Err(Failure::new("57014", "the session that started the run has gone"));
    }
    Ok(())
}

/// Hands a report of what is committed to the leader, whose client may read slowly.
pub fn hand_over(shared: &Shared, slot: &Slot, report: &BatchReport) {
    while !slot.report(report) {
        if look_around(shared).is_err() {
            return;
        }
        latch::wait(None, POLL_INTERVAL);
    }
    wake_leader();
}

struct WorkerPlace<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    request: Arc<Request>,
    number: i32,
    announced: Option<(i32, Phase)>,
}

impl Place for WorkerPlace<'_> {
    fn begin(&mut self) -> Unit {
        Unit::begin_transaction()
    }

    fn number_batch(&mut self) -> i32 {
        self.shared.control().number_batch()
    }

    fn report(&mut self, report: BatchReport) {
        hand_over(self.shared, self.slot, &report);
    }

    fn announce(&mut self, slice: &SliceRequest, phase: Phase) {
        if self.announced == Some((slice.slice_no, phase)) {
            return;
        }
        self.announced = Some((slice.slice_no, phase));
        let text = format!(
            "lrs_extract run {} slice {} ({}): {}",
            self.request.run_id,
            slice.slice_no,
            slice.partition,
            phase.as_str()
        );
        if let Ok(text) = CString::new(text) {
            // SAFETY: the text is copied.
            unsafe {
                pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
            }
        }
    }

    fn note(&mut self, text: &str) {
        self.slot.note(text);
        warning!("lrs_extract run {} worker {}: {text}", self.request.run_id, self.number);
        wake_leader();
    }

    fn look_around(&mut self) -> Result<(), Failure> {
        look_around(self.shared)
    }

    fn take_lock_time(&mut self) -> Duration {
        self.slot.take_lock_time()
    }

    fn readers(&self) -> u32 {
        self.shared.control().active()
    }

    fn worker(&self) -> i32 {
        self.number
    }
}
