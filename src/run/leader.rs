//! The leader: the caller's backend, which starts the workers, tells their batches, and stops them
//! on every way out.

#![allow(unsafe_code)]

use super::progress::Progress;
use super::report::BatchReport;
use super::request::Request;
use super::shared::{Outcome, Shared};
use super::wait;
use super::worker::WorkerArgument;
use crate::error::{Failure, notice};
use crate::ledger;
use pgrx::pg_sys::BgwHandleStatus::{BGWH_NOT_YET_STARTED, BGWH_STARTED};
use pgrx::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the leader sleeps when no worker wakes it.
const NAP: Duration = Duration::from_millis(100);
/// After so long without a batch, the leader asks whether a worker waits for its own locks.
const SUSPICION: Duration = Duration::from_millis(700);
/// How long a worker gets to end by itself, and then to be terminated.
const PATIENCE: Duration = Duration::from_millis(800);
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// The workers of a run and the memory they share. Dropped, it stops them: it belongs into a
/// memory context that goes on every way out of the call.
#[derive(Default)]
pub struct Crew {
    shared: Option<Shared>,
    workers: Vec<*mut pg_sys::BackgroundWorkerHandle>,
    /// The pipeline that this session pulls, in whatever place.
    pipeline: Option<String>,
    /// The memory context that the crew lives in.
    context: Option<pg_sys::MemoryContext>,
}

/// The pipelines that this session pulls now. The lock of a pipeline is the transaction's, which
/// may well call pull twice at once (through a cursor, or twice in a select list).
static PULLED_HERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether this session is pulling the pipeline already.
pub fn is_pulled_here(pipeline: &str) -> bool {
    let pulled = PULLED_HERE.lock().unwrap_or_else(PoisonError::into_inner);
    pulled.iter().any(|name| name == pipeline)
}

/// A run as the leader sees it: an iterator over committed batches.
pub struct Leader {
    crew: *mut Crew,
    request: Arc<Request>,
    queue: VecDeque<BatchReport>,
    progress: Progress,
    last_sign: Instant,
    finished: bool,
}

impl Crew {
    /// Notes that this session pulls the pipeline, until the crew is dropped.
    pub fn claim(&mut self, pipeline: &str) {
        let mut pulled = PULLED_HERE.lock().unwrap_or_else(PoisonError::into_inner);
        pulled.push(pipeline.to_owned());
        self.pipeline = Some(pipeline.to_owned());
    }

    /// Registers a worker; false when there is no free slot.
    fn hire(&mut self, number: u16) -> bool {
        let Some(shared) = &self.shared else { return false };
        let argument = WorkerArgument { segment: shared.handle(), number };
        // SAFETY: the struct is copied by the server; the handle is allocated in the memory context
        // that this crew lives in: the first worker is hired in the call that made it.
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
            // A later call of the function has a context of its own, which goes before the crew.
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

    /// The worker's process, or `None` when it has ended.
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

    /// Stops the workers and waits until they are gone: first they are asked, so that they mark
    /// the run; then they are terminated. Calls nothing of the server that could throw.
    fn dismiss(&mut self) {
        let Some(shared) = &self.shared else { return };
        if !self.all_ended() {
            shared.control().stop();
            for n in 0..self.workers.len() {
                if let Status::Running(pid) = self.status(n) {
                    // SAFETY: a signal to a process that the postmaster says is our worker.
                    unsafe { libc::kill(pid, libc::SIGINT) };
                }
            }
            if !self.wait_for_end(PATIENCE) {
                for &handle in &self.workers {
                    // SAFETY: the handle is ours.
                    unsafe { pg_sys::TerminateBackgroundWorker(handle) };
                }
                self.wait_for_end(LAST_PATIENCE);
            }
        }
        self.workers.clear();
    }

    fn wait_for_end(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.all_ended() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.dismiss();
        if let Some(pipeline) = self.pipeline.take() {
            let mut pulled = PULLED_HERE.lock().unwrap_or_else(PoisonError::into_inner);
            pulled.retain(|name| *name != pipeline);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Starting,
    Running(i32),
    Ended,
}

/// Copies a name into one of the server's fixed fields, cut to fit.
fn write_name(field: &mut [std::ffi::c_char], name: &str) {
    let room = field.len() - 1;
    for (to, from) in field.iter_mut().zip(name.bytes().take(room)) {
        *to = from as std::ffi::c_char;
    }
}

impl Leader {
    /// Starts the run. `crew` is empty, and lives in the memory context of the call.
    ///
    /// # Errors
    /// 53400 when there is no free worker slot.
    pub fn start(crew: *mut Crew, request: Arc<Request>) -> Result<Leader, Failure> {
        let jobs = u16::try_from(request.jobs.min(request.slices.len() as i32)).unwrap_or(1).max(1);
        let progress = Progress::new(&request);
        let leader = Leader {
            crew,
            request: request.clone(),
            queue: VecDeque::new(),
            progress,
            last_sign: Instant::now(),
            finished: request.slices.is_empty(),
        };
        if leader.finished {
            return Ok(leader);
        }
        // SAFETY: the crew outlives this call; nobody else has a reference to it.
        let crew = unsafe { &mut *crew };
        let shared = Shared::create(&request, u32::from(jobs))?;
        (0..jobs).for_each(|_| shared.control().enter());
        crew.shared = Some(shared);
        for number in 1..=jobs {
            if crew.hire(number) {
                continue;
            }
            if number == 1 {
                return Err(no_slot());
            }
            notice(&format!(
                "only {} of {jobs} workers could start; the run goes on with them. Raise max_worker_processes for more.",
                number - 1
            ));
            let shared = crew.shared.as_ref();
            (number..=jobs).for_each(|_| {
                shared.map(|s| s.control().leave());
            });
            break;
        }
        Ok(leader)
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    fn crew(&mut self) -> &mut Crew {
        // SAFETY: the crew was registered in the memory context before this leader, so it is
        // dropped after it; only the leader refers to it.
        unsafe { &mut *self.crew }
    }

    /// Waits for the next committed batch; `None` at the end of the run.
    ///
    /// # Errors
    /// What ended the run before its end. The workers are stopped by then.
    pub fn next_batch(&mut self) -> Result<Option<BatchReport>, Failure> {
        loop {
            // First what the workers have come to, then what they said before.
            let outcome = self.outcome();
            self.collect();
            if let Some(report) = self.queue.pop_front() {
                return Ok(Some(report));
            }
            if self.finished {
                return Ok(None);
            }
            match outcome {
                Some(Ok(())) => {
                    self.finished = true;
                    self.crew().dismiss();
                    continue;
                }
                Some(Err(failure)) => return Err(self.fail(failure)),
                None => {}
            }
            let begun = Instant::now();
            wait::wait(None, NAP);
            self.sample_locks(begun.elapsed());
            wait::check_client();
            if self.last_sign.elapsed() > SUSPICION {
                self.last_sign = Instant::now();
                self.check_locks()?;
            }
        }
    }

    /// How the run stands: `None` while a worker is at work.
    fn outcome(&mut self) -> Option<Result<(), Failure>> {
        let crew = self.crew();
        let Some(shared) = &crew.shared else { return Some(Ok(())) };
        let mut running = false;
        for n in 0..crew.workers.len() {
            // The process first: one that ends after this look is seen at the next.
            let status = crew.status(n);
            match shared.slot(n).outcome() {
                Outcome::Failed => return Some(Err(shared.slot(n).failure())),
                Outcome::Done => {}
                Outcome::Running if status == Status::Ended => return Some(Err(died(n))),
                Outcome::Running => running = true,
            }
        }
        if running { None } else { Some(Ok(())) }
    }

    fn collect(&mut self) {
        let crew = self.crew();
        let mut reports = Vec::new();
        let mut notes = Vec::new();
        if let Some(shared) = &crew.shared {
            for n in 0..crew.workers.len() {
                reports.extend(std::iter::from_fn(|| shared.slot(n).take()));
                notes.extend(shared.slot(n).take_note());
            }
        }
        for note in notes {
            notice(&note);
        }
        for report in reports {
            self.last_sign = Instant::now();
            if let Some(text) = self.progress.add(&report) {
                notice(&text);
            }
            if !report.is_empty() {
                self.queue.push_back(report);
            }
        }
    }

    /// Stops the others, and sees to it that the run's end is written.
    fn fail(&mut self, failure: Failure) -> Failure {
        let run_id = self.request.run_id;
        let crew = self.crew();
        let died_silently = (0..crew.workers.len()).any(|n| {
            crew.status(n) == Status::Ended
                && crew.shared.as_ref().is_some_and(|s| s.slot(n).outcome() == Outcome::Running)
        });
        crew.dismiss();
        if died_silently {
            if let Some(shared) = &crew.shared {
                shared.slot(0).fail(&failure);
            }
            if crew.hire(0) {
                crew.wait_for_end(PATIENCE);
            }
        }
        let hint = failure.hint.clone().unwrap_or_else(|| {
            format!("What was committed stays. The same call goes on from there; see lrs_extract.runs, run {run_id}.")
        });
        failure.with_hint(hint)
    }

    /// Books the nap that is over on the workers that wait for a lock now.
    fn sample_locks(&mut self, nap: Duration) {
        let crew = self.crew();
        let Some(shared) = &crew.shared else { return };
        for n in 0..crew.workers.len() {
            if let Status::Running(pid) = crew.status(n)
                && waits_for_lock(pid)
            {
                shared.slot(n).add_lock_time(nap);
            }
        }
    }

    /// Finds out whether a worker waits for a lock that this very transaction holds: nobody else
    /// can see that deadlock, because the leader waits for no lock.
    fn check_locks(&mut self) -> Result<(), Failure> {
        let crew = self.crew();
        let pids: Vec<i32> = (0..crew.workers.len())
            .filter_map(|n| match crew.status(n) {
                Status::Running(pid) => Some(pid),
                _ => None,
            })
            .collect();
        let sql = include_str!("../../sql/ledger/blocked_by_leader.sql");
        // SAFETY: our own process number.
        let me = unsafe { pg_sys::MyProcPid };
        let blocked =
            ledger::as_owner(|| Spi::get_one_with_args::<i32>(sql, &[pids.into(), me.into()]));
        match blocked {
            Ok(Some(pid)) => Err(Failure::new(
                "40P01",
                format!("worker {pid} of the run waits for a lock that this transaction holds"),
            )
            .with_detail("The worker commits on its own and cannot go on before this transaction ends, which waits for the worker.")
            .with_hint("Commit before calling pull, or call it with commit => 'caller'.")),
            _ => Ok(()),
        }
    }
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

fn died(n: usize) -> Failure {
    Failure::new("57P01", format!("worker {} of the run was terminated", n + 1))
        .with_detail("Its last batch was rolled back; what was committed before stays.")
}

fn no_slot() -> Failure {
    Failure::new("53400", "no worker could be started: max_worker_processes is used up")
        .with_hint("Raise max_worker_processes and restart, or call pull with commit => 'caller', which needs no worker.")
}
