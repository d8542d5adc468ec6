//! The workers of a call: launched, watched, and stopped on every way out.

#![allow(unsafe_code)]

use super::shared_memory::SharedMemory;
use super::slot::Outcome;
use super::worker::WorkerArgument;
use crate::error::Failure;
use crate::ledger::{self, Batch, SessionLock};
use pgrx::PgMemoryContexts;
use pgrx::pg_sys::BgwHandleStatus::{BGWH_NOT_YET_STARTED, BGWH_STARTED};
use pgrx::prelude::*;
use serde::Serialize;
use std::time::{Duration, Instant};

/// After so long without a batch, the leader asks whether a worker waits for its own locks.
pub const LOCK_CHECK_AFTER: Duration = Duration::from_millis(700);
/// How long a worker gets to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_millis(800);
/// How long it gets then, when it is terminated.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(10);

/// The workers of a call and the memory they share. Dropped, it stops them: it belongs into a
/// memory context that goes on every way out of the call.
#[derive(Default)]
pub struct WorkerPool {
    shared: Option<SharedMemory>,
    workers: Vec<*mut pg_sys::BackgroundWorkerHandle>,
    /// Held for as long as the call works on its pipeline.
    lock: Option<SessionLock>,
    /// The memory context that the pool lives in.
    context: Option<pg_sys::MemoryContext>,
}

/// How a pool's workers stand.
pub enum PoolState {
    AtWork,
    Done,
    Failed(Failure),
    /// Worker `n`, counted from 0, ended without reporting an outcome.
    Died(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Starting,
    Running(i32),
    Ended,
}

impl WorkerPool {
    /// A pool without workers, in the memory context of the SQL call that is under way. It must be
    /// made before anything else: whichever way the call ends (error, cancel, terminate, limit,
    /// closed portal), the context is deleted, and the workers are stopped by that.
    pub fn of_this_call() -> *mut WorkerPool {
        PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(WorkerPool::default())
    }

    /// Keeps the lock of the pipeline until the pool is dropped.
    pub fn keep(&mut self, lock: SessionLock) {
        self.lock = Some(lock);
    }

    /// Makes the memory that `jobs` workers will share, with the call's name and its request.
    ///
    /// # Errors
    /// When the request cannot be written as JSON.
    pub fn prepare(
        &mut self,
        call: &str,
        request: &impl Serialize,
        jobs: u16,
    ) -> Result<(), Failure> {
        let shared = SharedMemory::create(call, request, u32::from(jobs))?;
        (0..jobs).for_each(|_| shared.control().enter());
        self.shared = Some(shared);
        Ok(())
    }

    /// Registers a worker; false when there is no free slot. `number` counts from 1; 0 is the
    /// recorder, which only writes how a run ended.
    pub fn launch(&mut self, number: u16) -> bool {
        let Some(shared) = &self.shared else { return false };
        let argument = WorkerArgument { segment: shared.handle(), number };
        // SAFETY: the struct is copied by the server; the handle is allocated in the memory context
        // that this pool lives in: the first worker is launched in the call that made it.
        unsafe {
            let mut worker = pg_sys::BackgroundWorker::default();
            write_name(&mut worker.bgw_name, &format!("lrs_extract worker {number}"));
            write_name(&mut worker.bgw_type, "lrs_extract worker");
            worker.bgw_flags = (pg_sys::BGWORKER_SHMEM_ACCESS
                | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION)
                as i32;
            worker.bgw_start_time = pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished;
            worker.bgw_restart_time = pg_sys::BGW_NEVER_RESTART;
            write_name(&mut worker.bgw_library_name, "lrs_extract");
            write_name(&mut worker.bgw_function_name, "lrs_extract_worker_main");
            worker.bgw_main_arg = argument.pack();
            worker.bgw_notify_pid = pg_sys::MyProcPid;
            let mut handle = std::ptr::null_mut();
            // A later call of the function has a context of its own, which is deleted before the pool.
            let context = *self.context.get_or_insert(pg_sys::CurrentMemoryContext);
            let before = pg_sys::MemoryContextSwitchTo(context);
            let registered = pg_sys::RegisterDynamicBackgroundWorker(&mut worker, &mut handle);
            pg_sys::MemoryContextSwitchTo(before);
            if registered {
                self.workers.push(handle);
            }
            registered
        }
    }

    /// Says that worker `number` and those after it, of `jobs`, do not start.
    pub fn skip(&self, number: u16, jobs: u16) {
        if let Some(shared) = &self.shared {
            (number..=jobs).for_each(|_| {
                shared.control().leave();
            });
        }
    }

    /// How the workers stand.
    pub fn state(&self) -> PoolState {
        let Some(shared) = &self.shared else { return PoolState::Done };
        let mut at_work = false;
        for n in 0..self.workers.len() {
            // The process first: one that ends after this look is seen at the next.
            let status = self.status(n);
            match shared.slot(n).outcome() {
                Outcome::Failed => return PoolState::Failed(shared.slot(n).failure()),
                Outcome::Done => {}
                Outcome::Running if status == Status::Ended => return PoolState::Died(n),
                Outcome::Running => at_work = true,
            }
        }
        if at_work { PoolState::AtWork } else { PoolState::Done }
    }

    /// The batches that the workers have reported since the last look, and their warnings.
    pub fn receive(&self) -> (Vec<Batch>, Vec<String>) {
        let mut batches = Vec::new();
        let mut warnings = Vec::new();
        if let Some(shared) = &self.shared {
            for n in 0..self.workers.len() {
                batches.extend(std::iter::from_fn(|| shared.slot(n).take()));
                warnings.extend(shared.slot(n).take_warning());
            }
        }
        (batches, warnings)
    }

    /// Whether a worker has ended without reporting an outcome.
    pub fn lost_one(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| {
            (0..self.workers.len()).any(|n| {
                self.status(n) == Status::Ended && shared.slot(n).outcome() == Outcome::Running
            })
        })
    }

    /// Has the recorder write `failure` to the ledger; the other workers have been stopped.
    pub fn record_failure(&mut self, failure: &Failure) {
        if let Some(shared) = &self.shared {
            shared.slot(0).fail(failure);
        }
        if self.launch(0) {
            self.wait_for_end(STOP_TIMEOUT);
        }
    }

    /// Adds `waited`, in which the leader slept, to the workers that wait for a lock now.
    pub fn sample_locks(&self, waited: Duration) {
        let Some(shared) = &self.shared else { return };
        for n in 0..self.workers.len() {
            if let Status::Running(pid) = self.status(n)
                && waits_for_lock(pid)
            {
                shared.slot(n).add_lock_time(waited);
            }
        }
    }

    /// Finds out whether a worker waits for a lock that this very transaction holds: nobody else
    /// can see that deadlock, because the leader waits for no lock.
    ///
    /// # Errors
    /// 40P01 with `hint` when one does.
    pub fn check_locks(&self, hint: &str) -> Result<(), Failure> {
        let pids: Vec<i32> = (0..self.workers.len())
            .filter_map(|n| match self.status(n) {
                Status::Running(pid) => Some(pid),
                _ => None,
            })
            .collect();
        // SAFETY: our own process number.
        let me = unsafe { pg_sys::MyProcPid };
        match ledger::waits_for(pids, me) {
            Ok(Some(pid)) => Err(Failure::new(
                "40P01",
                format!("worker {pid} waits for a lock that this transaction holds"),
            )
            .with_detail("The worker commits on its own and cannot continue until this transaction ends, and this transaction waits for the worker.")
            .with_hint(hint)),
            _ => Ok(()),
        }
    }

    /// Stops the workers and waits until they are gone: first it asks them, so that they mark the
    /// run; then it terminates them. Calls nothing of the server that could throw.
    pub fn stop(&mut self) {
        let Some(shared) = &self.shared else { return };
        if !self.all_ended() {
            shared.control().stop();
            for n in 0..self.workers.len() {
                if let Status::Running(pid) = self.status(n) {
                    // SAFETY: a signal to a process that the postmaster says is our worker.
                    unsafe { libc::kill(pid, libc::SIGINT) };
                }
            }
            if !self.wait_for_end(STOP_TIMEOUT) {
                for &handle in &self.workers {
                    // SAFETY: the handle is ours.
                    unsafe { pg_sys::TerminateBackgroundWorker(handle) };
                }
                self.wait_for_end(TERMINATE_TIMEOUT);
            }
        }
        self.workers.clear();
    }

    /// Lets a herald go, because the run's own workers come; waits until its slot is free.
    pub fn dismiss(&mut self) {
        let Some(shared) = &self.shared else { return };
        shared.control().set_opened();
        if !self.wait_for_end(TERMINATE_TIMEOUT) {
            self.stop();
        }
        self.workers.clear();
    }

    /// The same, because nothing comes; the herald writes that.
    pub fn conclude(&mut self) {
        if let Some(shared) = &self.shared {
            shared.control().conclude();
        }
        self.dismiss();
    }

    /// The process of worker `n`, or that it has ended.
    fn status(&self, n: usize) -> Status {
        let mut pid = 0;
        // SAFETY: the handle is ours.
        match unsafe { pg_sys::GetBackgroundWorkerPid(self.workers[n], &mut pid) } {
            BGWH_STARTED => Status::Running(pid),
            BGWH_NOT_YET_STARTED => Status::Starting,
            _ => Status::Ended,
        }
    }

    fn all_ended(&self) -> bool {
        (0..self.workers.len()).all(|n| self.status(n) == Status::Ended)
    }

    fn wait_for_end(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while !self.all_ended() {
            if !postmaster_is_alive() {
                // Workers end by themselves then, and nobody notes that they have. The server can be started
                // again when all of its processes are gone, this one too.
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the postmaster, which started this process, is still its parent.
fn postmaster_is_alive() -> bool {
    // SAFETY: the number is set before the first process is started.
    unsafe { libc::getppid() == pg_sys::PostmasterPid }
}

/// What to do where there is no room for a worker of a pull.
pub const WITHOUT_WORKERS: &str = "Raise max_worker_processes and restart, or call pull with commit => 'caller', which needs no worker.";

/// There is no room for a worker; `hint` says what to do without.
pub fn no_slot(hint: &str) -> Failure {
    Failure::new("53400", "no worker could be started: max_worker_processes is used up")
        .with_hint(hint)
}

/// Whether a process waits for a heavyweight lock, other than for its turn to extend a table.
fn waits_for_lock(pid: i32) -> bool {
    const EXTEND: u32 = pg_sys::LockTagType::LOCKTAG_RELATION_EXTEND;
    // SAFETY: an entry of the process table stays in place; its wait event is one word, which
    // pg_stat_activity reads in the same way.
    let event = unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        if process.is_null() { 0 } else { std::ptr::read_volatile(&(*process).wait_event_info) }
    };
    event & 0xFF00_0000 == pg_sys::PG_WAIT_LOCK && event & 0xFFFF != EXTEND
}

/// Copies a name into one of the server's fixed fields, cut to fit.
fn write_name(field: &mut [std::ffi::c_char], name: &str) {
    let room = field.len() - 1;
    for (to, from) in field.iter_mut().zip(name.bytes().take(room)) {
        *to = from as std::ffi::c_char;
    }
}
