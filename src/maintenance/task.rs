//! A maintenance task: work on a pipeline's target beside the runs. One worker does it in steps that
//! each commit on their own, while the leader waits and reports.

#![allow(unsafe_code)]

use crate::backend::client;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::backend::transaction::{catching, in_transaction};
use crate::error::{Failure, warning};
use crate::ledger::{self, Batch};
use crate::pool::{Caller, LOCK_CHECK_AFTER, PoolState, Worker, WorkerPool, no_slot};
use serde::Serialize;
use std::time::Instant;

/// A task as its leader requests it and its worker does it.
pub trait MaintenanceTask: Serialize {
    /// The SQL function that asks for it; its worker knows it by this name.
    const CALL: &'static str;
    /// What the worker keeps from step to step.
    type State;

    fn pipeline(&self) -> &str;
    /// What the ledger knows the pipeline by.
    fn pipeline_id(&self) -> &str;
    fn caller(&self) -> &Caller;

    /// Finds what there is to do, in a transaction of its own.
    ///
    /// # Errors
    /// What ends the task.
    fn find(&self) -> Result<Self::State, Failure>;

    /// Does the next step, in a transaction of its own; `None` when nothing is left.
    ///
    /// # Errors
    /// What ends the task; the step is rolled back then.
    fn step(&self, state: &mut Self::State) -> Result<Option<Batch>, Failure>;

    /// What the caller should hear of the steps up to now, once.
    fn take_warning(&self, _: &mut Self::State) -> Option<String> {
        None
    }
}

/// Has a worker do the task; `report` gets each committed step. `pool` is empty, and lives in the
/// memory context of the call.
///
/// # Errors
/// 53400 when there is no free worker slot, else what ended the worker before its end. It is
/// stopped by then, and what it has committed stays.
pub fn lead<T: MaintenanceTask>(
    pool: *mut WorkerPool,
    task: &T,
    mut report: impl FnMut(&Batch),
) -> Result<(), Failure> {
    // SAFETY: the pool outlives this call; nobody else has a reference to it.
    let pool = unsafe { &mut *pool };
    pool.prepare(T::CALL, task, 1)?;
    if !pool.launch(1) {
        return Err(no_slot(
            "Raise max_worker_processes and restart, or wait for a worker to end.",
        ));
    }
    let mut last_sign = Instant::now();
    loop {
        // First the state of the worker, then what it reported before.
        let state = pool.state();
        let (batches, warnings) = pool.receive();
        for text in warnings {
            warning(&text);
        }
        for batch in batches {
            last_sign = Instant::now();
            report(&batch);
        }
        let outcome = match state {
            PoolState::AtWork => None,
            PoolState::Done => Some(Ok(())),
            PoolState::Failed(failure) => Some(Err(failure)),
            PoolState::Died(_) => Some(Err(died(T::CALL))),
        };
        if let Some(outcome) = outcome {
            pool.stop();
            return outcome;
        }
        latch::wait(None, POLL_INTERVAL);
        client::check_client();
        if last_sign.elapsed() > LOCK_CHECK_AFTER {
            last_sign = Instant::now();
            pool.check_locks(&format!("Commit before calling {}.", T::CALL))?;
        }
    }
}

fn died(call: &str) -> Failure {
    Failure::new("57P01", format!("the worker of {call} was terminated"))
        .with_detail("Its last step was rolled back; what was committed before stays.")
}

/// The worker's whole work.
///
/// # Errors
/// What ended it before its end; the steps before are committed.
pub fn work<T: MaintenanceTask>(worker: &Worker<'_>, task: &T) -> Result<(), Failure> {
    task.caller().connect_worker()?;
    let announce = |doing: &str| {
        worker.announce(&format!(
            "lrs_extract {} of pipeline {}: {doing}",
            T::CALL,
            task.pipeline()
        ));
    };
    catching(|| {
        // Held until the process ends.
        in_transaction(|| ledger::lock_as_worker(task.pipeline(), task.pipeline_id()))?;
        announce("looking for what there is to do");
        let mut state = in_transaction(|| task.find())?;
        for number in 1.. {
            worker.check_stop()?;
            announce(&format!("step {number}"));
            let Some(batch) = in_transaction(|| task.step(&mut state))? else { break };
            if let Some(text) = task.take_warning(&mut state) {
                worker.warn(&text);
            }
            worker.report(&batch);
        }
        Ok(())
    })
}
