//! The herald: a worker that shows a run in the ledger while the leader, which cannot commit, still waits
//! for the source's first answers. It is launched where they take a while, and gone before the run's own
//! workers start.

#![allow(unsafe_code)]

use super::context::Phase;
use super::request::{Arguments, kind};
use super::worker::undisturbed;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::backend::role;
use crate::backend::time::Period;
use crate::backend::transaction::{catching, in_transaction};
use crate::error::{Failure, notice, warning};
use crate::ledger::{self, AnnouncedRun, Pipeline};
use crate::pool::{Caller, Worker, WorkerPool};
use serde::{Deserialize, Serialize};
use std::cell::Cell;

/// What the leader's side has of it.
pub struct Herald {
    pool: *mut WorkerPool,
    arguments: Arguments,
    run_id: Cell<Option<i64>>,
    /// Whether it was called, with success or not.
    called: Cell<bool>,
}

/// A call of `pull` that has no slices yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeraldRequest {
    pub run_id: i64,
    pub kind: String,
    pub pipeline: String,
    pub pipeline_id: String,
    /// As asked for.
    pub period: Period,
    pub batch: i32,
    pub jobs: i32,
    pub commit: String,
    pub again: bool,
    pub caller_name: String,
    pub caller: Caller,
}

impl HeraldRequest {
    /// The name of the call, by which its worker knows what it serves.
    pub const CALL: &'static str = "pull, announced";
}

impl Herald {
    /// One that has not been called, in the memory context of the SQL call.
    pub fn of_this_call(arguments: &Arguments) -> Herald {
        Herald {
            pool: WorkerPool::of_this_call(),
            arguments: arguments.clone(),
            run_id: Cell::new(None),
            called: Cell::new(false),
        }
    }

    /// The run's number, where it was shown.
    pub fn run_id(&self) -> Option<i64> {
        self.run_id.get()
    }

    /// Has it show the run, once. The run does not depend on it.
    pub fn call(&self) {
        if self.called.replace(true) {
            return;
        }
        if let Err(failure) = self.launch() {
            notice(&format!(
                "the run is not seen in lrs_extract.runs until the source has answered: {failure}"
            ));
        }
    }

    fn launch(&self) -> Result<(), Failure> {
        let run_id = ledger::next_run_id()?;
        let Arguments { period, batch, pipeline, jobs, commit, again, repair } =
            self.arguments.clone();
        let request = HeraldRequest {
            run_id,
            kind: kind(repair.is_some()).to_owned(),
            pipeline_id: Pipeline::read(&pipeline)?.id,
            pipeline,
            period,
            batch: i32::try_from(batch.rows()).unwrap_or(i32::MAX),
            jobs,
            commit: commit.as_str().to_owned(),
            again,
            caller_name: role::current_role_name()?,
            caller: Caller::of_this_session()?,
        };
        self.pool().prepare(HeraldRequest::CALL, &request, 1)?;
        if !self.pool().launch(1) {
            return Err(Failure::new("53400", "max_worker_processes is used up"));
        }
        self.run_id.set(Some(run_id));
        Ok(())
    }

    #[allow(
        clippy::mut_from_ref,
        reason = "the pool lives elsewhere, and nobody else refers to it"
    )]
    fn pool(&self) -> &mut WorkerPool {
        // SAFETY: the pool lives in the memory context of the call, which is deleted after the herald.
        unsafe { &mut *self.pool }
    }

    /// The run goes on by its own workers.
    pub fn goes_on(&self) {
        self.pool().dismiss();
    }

    /// There was nothing to do.
    pub fn ends(&self) {
        self.pool().conclude();
    }

    /// The run ends before it began.
    pub fn fails(&self, failure: &Failure) {
        if self.run_id.get().is_some() {
            if failure.sqlstate == "57014" {
                // It writes that itself.
                self.pool().stop();
                return;
            }
            self.pool().dismiss();
            self.pool().record_failure(failure);
        }
    }
}

/// The worker's whole work.
///
/// # Errors
/// What ended it before the leader's word.
pub fn announce(worker: &Worker<'_>, request: &HeraldRequest) -> Result<(), Failure> {
    request.caller.connect_worker()?;
    let control = worker.control();
    if !control.is_opened() {
        in_transaction(|| {
            ledger::announce_run(&AnnouncedRun {
                run_id: request.run_id,
                kind: &request.kind,
                pipeline: &request.pipeline,
                pipeline_id: &request.pipeline_id,
                period: request.period,
                batch: request.batch,
                jobs: request.jobs,
                commit_mode: &request.commit,
                again: request.again,
                caller: &request.caller_name,
                leader_pid: worker.leader_pid(),
            })
        })?;
        worker.announce(&format!(
            "lrs_extract run {} slice 0 (no slice yet): {}",
            request.run_id,
            Phase::Source.as_str()
        ));
    }
    let outcome = catching(|| {
        while !control.is_opened() {
            worker.check_stop()?;
            latch::wait(None, POLL_INTERVAL);
        }
        Ok(())
    });
    let written = match &outcome {
        Ok(()) if control.is_concluded() => {
            undisturbed(|| ledger::close_run(request.run_id, "done", None))
        }
        Ok(()) => Ok(()),
        Err(failure) => {
            undisturbed(|| ledger::close_run(request.run_id, "cancelled", Some(failure)))
        }
    };
    if let Err(failure) = written {
        warning(&format!(
            "lrs_extract could not write the end of run {}: {failure}",
            request.run_id
        ));
    }
    outcome
}
