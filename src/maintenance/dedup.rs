//! Duplicates taken out of a target: found once, then removed step by step.

use super::task::{MaintenanceTask, lead};
use crate::backend::role::current_role;
use crate::backend::time::Period;
use crate::error::{Failure, notice};
use crate::ledger::{Batch, Pipeline};
use crate::load::{self, Duplicates};
use crate::pool::{Caller, WorkerPool};
use serde::{Deserialize, Serialize};

/// Duplicates removed by one commit.
const STEP: usize = 10_000;

/// A call of `dedup`, checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DedupRequest {
    pipeline: String,
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
        let (id, timestamp) = (id_column(&pipeline)?, timestamp_column(&pipeline)?);
        let duplicates = Duplicates::of(&target, id, timestamp, current_role())?;
        Ok(DedupRequest {
            caller: Caller::of_this_session()?,
            duplicates,
            period,
            pipeline: pipeline.name,
        })
    }
}

/// What has come of it so far.
#[derive(Default)]
struct Progress {
    removed: i64,
    /// Duplicates that were found and are not what they were.
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
                "{} duplicates were left: they, or the rows kept for them, have changed since. The same call looks at them again.",
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

impl MaintenanceTask for DedupRequest {
    const CALL: &'static str = "dedup";
    /// The server keeps it, in a cursor of the worker's session.
    type State = ();

    fn pipeline(&self) -> &str {
        &self.pipeline
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn find(&self) -> Result<(), Failure> {
        self.duplicates.find(self.period)
    }

    fn step(&self, (): &mut ()) -> Result<Option<Batch>, Failure> {
        let step = self.duplicates.next(STEP)?;
        if step.is_empty() {
            return Ok(None);
        }
        let removed = self.duplicates.remove(&step)?;
        Ok(Some(Batch {
            rows: removed as i64,
            rejected: (step.len() - removed) as i64,
            ..Batch::default()
        }))
    }
}

/// The target column that holds the statement's id.
fn id_column(pipeline: &Pipeline) -> Result<&str, Failure> {
    let hint = format!(
        "Duplicates are identified by the column that the mapping fills from {{\"path\": [\"id\"]}}, without a default: update lrs_extract.pipeline set mapping = mapping || '{{\"id\": {{\"path\": [\"id\"]}}}}' where name = {};",
        pgrx::spi::quote_literal(&pipeline.name)
    );
    let mut columns = pipeline.mapping.filled_from_path(&["id"]).peekable();
    if columns.peek().is_none() {
        return Err(Failure::new(
            "0A000",
            format!("the mapping of pipeline \"{}\" stores no statement id", pipeline.name),
        )
        .with_hint(hint));
    }
    // Rows without an id that share a default are no duplicates of each other.
    columns.find(|c| c.default.is_none()).map(|c| c.column.as_str()).ok_or_else(|| {
        Failure::new(
            "0A000",
            format!(
                "pipeline \"{}\" stores a default id for statements without one",
                pipeline.name
            ),
        )
        .with_hint(hint)
    })
}

/// The target column that holds the source's timestamp.
fn timestamp_column(pipeline: &Pipeline) -> Result<&str, Failure> {
    let source = &pipeline.timestamp_column;
    let column = pipeline.mapping.filled_from_source(source).next();
    column.map(|c| c.column.as_str()).ok_or_else(|| {
        Failure::new(
            "0A000",
            format!(
                "the mapping of pipeline \"{}\" stores no timestamp of the source",
                pipeline.name
            ),
        )
        .with_hint(format!(
            "The period is that of the column which the mapping fills from {{\"source\": \"{source}\"}}; add one to the mapping in lrs_extract.pipeline, and to the target."
        ))
    })
}
