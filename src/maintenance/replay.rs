//! Rejects taken through the mapping again, step by step. A row goes into the target and leaves
//! `reject` in one transaction.

use super::refit::{Fitted, Refit};
use super::task::{MaintenanceTask, lead};
use crate::backend::time::Period;
use crate::error::{Failure, notice};
use crate::ledger::{Batch, RejectQueue, drop_rejects, keep_rejects};
use crate::load::{Loader, OnConflict, Target};
use crate::plan::{BoundPipeline, runs_that_count};
use crate::pool::{Caller, WorkerPool};
use crate::transform::BoundMapping;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Rejects are taken in steps of about this size.
const STEP_BYTES: usize = 4 << 20;
/// How often the caller gets a NOTICE.
const NOTIFY_EVERY: Duration = Duration::from_secs(2);

/// A call of `replay`, checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplayRequest {
    pipeline: String,
    pipeline_id: String,
    /// Whose rejects are tried.
    runs: Vec<i64>,
    caller: Caller,
    period: Period,
    /// The source's actor column, which a reject has as part of its key.
    actor_column: String,
    target: Target,
    mapping: BoundMapping,
    on_conflict: OnConflict,
}

impl ReplayRequest {
    /// For the rejects of `period`, by the pipeline as it is now.
    ///
    /// # Errors
    /// 42501 where the caller may start no worker.
    pub fn new(bound: BoundPipeline, period: Period) -> Result<ReplayRequest, Failure> {
        bound.target.check_seen_by_workers()?;
        Ok(ReplayRequest {
            caller: Caller::of_this_session()?,
            period,
            runs: runs_that_count(&bound.pipeline, &bound.target)?,
            actor_column: bound.pipeline.actor_column,
            target: bound.target,
            on_conflict: bound.pipeline.on_conflict,
            mapping: bound.mapping,
            pipeline: bound.pipeline.name,
            pipeline_id: bound.pipeline.id,
        })
    }
}

/// What has come of it so far.
struct Progress {
    taken: i64,
    staying: i64,
    skipped: i64,
    notified: Instant,
}

/// Has a worker take the rejects of the period through the mapping; returns how many rows went into
/// the target. `pool` is empty, and lives in the memory context of the call.
///
/// # Errors
/// As [`lead`]; what was committed before stays.
pub fn replay(pool: *mut WorkerPool, request: &ReplayRequest) -> Result<i64, Failure> {
    let mut progress = Progress { taken: 0, staying: 0, skipped: 0, notified: Instant::now() };
    match lead(pool, request, |batch| progress.add(batch)) {
        Ok(()) => {
            progress.notify_of_rest();
            Ok(progress.taken)
        }
        Err(failure) => Err(progress.explain(failure)),
    }
}

impl Progress {
    fn add(&mut self, batch: &Batch) {
        self.taken += batch.rows;
        self.staying += batch.rejected;
        self.skipped += batch.skipped;
        if self.notified.elapsed() > NOTIFY_EVERY {
            self.notified = Instant::now();
            notice(&format!(
                "{} rejects went into the target so far, {} stay",
                self.taken, self.staying
            ));
        }
    }

    fn notify_of_rest(&self) {
        if self.skipped > 0 {
            notice(&format!(
                "{} rejects were dropped: the target has their unique key already, and on_conflict is 'skip'",
                self.skipped
            ));
        }
        if self.staying > 0 {
            notice(&format!(
                "{} rejects still do not fit; lrs_extract.reject has the current reason",
                self.staying
            ));
        }
    }

    fn explain(&self, failure: Failure) -> Failure {
        failure.with_default_hint(|| {
            format!(
                "{} rejects went into the target before, and that stays. The same call continues with the rest.",
                self.taken
            )
        })
    }
}

/// What a worker has in hand from step to step.
pub struct ReplayState {
    queue: RejectQueue,
    pass: Pass,
    loader: Loader,
    refit: Refit,
}

/// What has come of the rejects since they were last looked at from the first on.
#[derive(Default)]
struct Pass {
    staying: i64,
    /// Some went into the target.
    helped: bool,
    /// Some lack a row that they refer to: it may have come since, in a later step.
    lacking: bool,
}

impl Pass {
    fn add(&mut self, fitted: &Fitted) {
        self.staying += fitted.kept.len() as i64;
        self.helped |= !fitted.taken.is_empty();
        self.lacking |= fitted.kept.iter().any(|(_, refusal)| refusal.sqlstate == "23503");
    }
}

impl MaintenanceTask for ReplayRequest {
    const CALL: &'static str = "replay";
    type State = ReplayState;

    fn pipeline(&self) -> &str {
        &self.pipeline
    }

    fn pipeline_id(&self) -> &str {
        &self.pipeline_id
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn find(&self) -> Result<ReplayState, Failure> {
        Ok(ReplayState {
            queue: RejectQueue::open(&self.pipeline_id, &self.runs, self.period)?,
            pass: Pass::default(),
            loader: Loader::new(&self.target, self.mapping.clone(), None, self.on_conflict)?,
            refit: Refit::start(self.mapping.clone(), &self.actor_column)?,
        })
    }

    fn step(&self, state: &mut ReplayState) -> Result<Option<Batch>, Failure> {
        let Some(stored) = state.queue.next(STEP_BYTES)? else {
            let pass = std::mem::take(&mut state.pass);
            if !pass.helped || !pass.lacking {
                return Ok(None);
            }
            state.queue = RejectQueue::open(&self.pipeline_id, &self.runs, self.period)?;
            // Those that stay are counted anew.
            return Ok(Some(Batch { rejected: -pass.staying, ..Batch::default() }));
        };
        let fitted = state.refit.take(&mut state.loader, stored)?;
        state.pass.add(&fitted);
        drop_rejects(&fitted.taken)?;
        keep_rejects(&fitted.kept)?;
        Ok(Some(Batch {
            rows: i64::try_from(fitted.rows).unwrap_or(i64::MAX),
            rejected: fitted.kept.len() as i64,
            skipped: i64::try_from(fitted.skipped).unwrap_or(i64::MAX),
            ..Batch::default()
        }))
    }
}
