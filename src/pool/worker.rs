//! A worker's side of the pool: its request, what it reports, and the reasons to stop.

#![allow(unsafe_code)]

use super::shared_memory::{Control, SharedMemory};
use super::slot::Slot;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::error::Failure;
use crate::ledger::Batch;
use crate::pg_compat;
use pgrx::prelude::*;
use serde::de::DeserializeOwned;
use std::ffi::CString;
use std::time::Duration;

/// A worker's number and the segment it reads from, packed into the one argument it gets.
pub struct WorkerArgument {
    pub segment: u32,
    /// From 1; 0 for the recorder, which only writes how a run ended.
    pub number: u16,
}

impl WorkerArgument {
    pub fn pack(&self) -> pg_sys::Datum {
        pg_sys::Datum::from(u64::from(self.number) << 32 | u64::from(self.segment))
    }

    pub fn unpack(datum: pg_sys::Datum) -> Self {
        let packed = datum.value() as u64;
        WorkerArgument { segment: (packed & 0xffff_ffff) as u32, number: (packed >> 32) as u16 }
    }
}

/// A worker that serves a call: the only writer of its slot.
pub struct Worker<'a> {
    shared: &'a SharedMemory,
    slot: &'a Slot,
    /// Counts from 1.
    number: u16,
}

impl<'a> Worker<'a> {
    pub fn new(shared: &'a SharedMemory, number: u16) -> Self {
        Worker { shared, slot: shared.slot(usize::from(number) - 1), number }
    }

    /// Counts from 1.
    pub fn number(&self) -> i32 {
        i32::from(self.number)
    }

    /// The request of the call.
    ///
    /// # Errors
    /// When it cannot be read as JSON.
    pub fn request<R: DeserializeOwned>(&self) -> Result<R, Failure> {
        self.shared.request()
    }

    /// What all workers of the pool share.
    pub fn control(&self) -> &'a Control {
        self.shared.control()
    }

    /// Looks for a reason to stop.
    ///
    /// # Errors
    /// The reason: an interrupt, the leader's word, or that the leader has gone.
    pub fn check_stop(&self) -> Result<(), Failure> {
        check_for_interrupts!();
        if self.control().is_stopped() {
            // A leader that goes with the whole server stops its workers on its way out.
            pg_compat::exit_with_postmaster();
            return Err(Failure::new("57014", "the run was stopped"));
        }
        // SAFETY: a look at the process table.
        let leader_gone = unsafe { pg_sys::BackendPidGetProc(self.leader_pid()).is_null() };
        if leader_gone {
            // Where it is gone with the whole server, nobody cancelled the run.
            pg_compat::exit_with_postmaster();
            return Err(Failure::new("57014", "the session that started the run has gone"));
        }
        Ok(())
    }

    /// Hands a batch that is committed to the leader, whose client may read slowly.
    pub fn report(&self, batch: &Batch) {
        while !self.slot.report(batch) {
            if self.check_stop().is_err() {
                return;
            }
            latch::wait(None, POLL_INTERVAL);
        }
        self.wake_leader();
    }

    /// Sends the leader a warning of trouble that the worker waits out.
    pub fn warn(&self, text: &str) {
        self.slot.warn(text);
        self.wake_leader();
    }

    /// How long the leader saw this worker waiting for locks since this was last asked.
    pub fn take_lock_time(&self) -> Duration {
        self.slot.take_lock_time()
    }

    /// Leaves the outcome to the leader.
    pub fn end(&self, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => self.slot.finish(),
            Err(failure) => self.slot.fail(&failure),
        }
        self.wake_leader();
    }

    /// Shows `text` as this worker's query in pg_stat_activity.
    pub fn announce(&self, text: &str) {
        if let Ok(text) = CString::new(text) {
            // SAFETY: the text is copied.
            unsafe {
                pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
            }
        }
    }

    pub fn leader_pid(&self) -> i32 {
        // SAFETY: set by the postmaster before the worker starts.
        unsafe { (*pg_sys::MyBgworkerEntry).bgw_notify_pid }
    }

    /// Wakes the leader, if it is still there.
    fn wake_leader(&self) {
        // SAFETY: the process table's entry stays in place; a latch set in vain does no harm.
        unsafe {
            let leader = pg_sys::BackendPidGetProc(self.leader_pid());
            if !leader.is_null() {
                pg_sys::SetLatch(&mut (*leader).procLatch);
            }
        }
    }
}
