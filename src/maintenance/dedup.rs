//! Duplicates taken out of a target: found once, then removed step by step.

use super::task::{MaintenanceTask, lead};
use crate::backend::role::current_role;
use crate::backend::time::Period;
use crate::error::{Failure, notice};
use crate::ledger::{Batch, Pipeline};
use crate::load::{self, Duplicates};
use crate::plan::identity;
use crate::pool::{Caller, WorkerPool};
use serde::{Deserialize, Serialize};

/// Duplicates removed by one commit.
const STEP: usize = 10_000;

/// A call of `dedup`, checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DedupRequest {
    pipeline: String,
    pipeline_id: String,
    caller: Caller,
    duplicates: Duplicates,
    period: Period,
}

impl DedupRequest {
    /// Checks that the pipeline's target has what duplicates are known by.
    ///
    /// # Errors
    /// 0A000 where it has not, 42501 where the caller may not delete.
    pub fn new(pipeline: Pipeline, period: Period) -> Result<DedupRequest, Failure> {
        let target = load::describe(&pipeline.target_table, current_role())?;
        target.check_seen_by_workers()?;
        let duplicates = Duplicates::of(&target, identity(&pipeline, &target)?, current_role())?;
        load::check_nothing_prepared(&target)?;
        Ok(DedupRequest {
            caller: Caller::of_this_session()?,
            duplicates,
            period,
            pipeline: pipeline.name,
            pipeline_id: pipeline.id,
        })
    }
}

/// What has come of it so far.
#[derive(Default)]
struct Progress {
    removed: i64,
    /// Duplicates that were found and are not what they were, or that are kept by others.
    left: i64,
}

/// Has a worker remove the duplicates; returns how many rows went. `pool` is empty, and lives in the
/// memory context of the call.
///
/// # Errors
/// As [`lead`]; what was committed before stays.
pub fn dedup(pool: *mut WorkerPool, request: &DedupRequest) -> Result<i64, Failure> {
    let mut progress = Progress::default();
    match lead(pool, request, |batch| progress.add(batch)) {
        Ok(()) => {
            progress.notify_of_rest();
            Ok(progress.removed)
        }
        Err(failure) => Err(progress.explain(failure)),
    }
}

impl Progress {
    fn add(&mut self, batch: &Batch) {
        self.removed += batch.rows;
        self.left += batch.rejected;
        notice(&format!("{} duplicates removed so far", self.removed));
    }

    fn notify_of_rest(&self) {
        if self.left > 0 {
            notice(&format!(
                "{} duplicates were left: they, or the rows kept for them, have changed since, or a constraint or a trigger keeps them. The same call looks at them again.",
                self.left
            ));
        }
    }

    fn explain(&self, failure: Failure) -> Failure {
        failure.with_default_hint(|| {
            format!(
                "{} duplicates were removed before, and that stays. The same call removes the rest.",
                self.removed
            )
        })
    }
}

/// What was said of a duplicate that something keeps.
#[derive(Default)]
pub struct Kept {
    told: bool,
    warning: Option<String>,
}

impl MaintenanceTask for DedupRequest {
    const CALL: &'static str = "dedup";
    /// The server keeps the rest, in a cursor of the worker's session.
    type State = Kept;

    fn pipeline(&self) -> &str {
        &self.pipeline
    }

    fn pipeline_id(&self) -> &str {
        &self.pipeline_id
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn find(&self) -> Result<Kept, Failure> {
        self.duplicates.find(self.period)?;
        Ok(Kept::default())
    }

    fn step(&self, state: &mut Kept) -> Result<Option<Batch>, Failure> {
        let step = self.duplicates.next(STEP)?;
        if step.is_empty() {
            return Ok(None);
        }
        let found = step.len();
        let (removed, kept) = self.duplicates.remove(step)?;
        if let Some(failure) = kept.filter(|_| !state.told) {
            state.told = true;
            state.warning = Some(format!("a duplicate was left: {}", failure.message));
        }
        Ok(Some(Batch {
            rows: removed as i64,
            rejected: (found - removed) as i64,
            ..Batch::default()
        }))
    }

    fn take_warning(&self, state: &mut Kept) -> Option<String> {
        state.warning.take()
    }
}
