//! `lrs_extract.pull`: the main job.

use super::arguments::{at_least_one, check_period, present};
use crate::backend::extension::check_version;
use crate::backend::time::to_server;
use crate::error::{Failure, or_raise};
use crate::ledger::Batch;
use crate::pool::WorkerPool;
use crate::pull::{Arguments, CommitMode, PullRequest, Run};
use crate::source::BatchSize;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

type Row = (
    i64,
    i32,
    String,
    i64,
    i64,
    i64,
    Option<TimestampWithTimeZone>,
    Option<i64>,
    f64,
    f64,
    f64,
    f64,
    f64,
);

/// Pulls `["from", "to")` of a pipeline's source into its target, each row exactly once, and
/// returns a row for each committed batch. What earlier calls pulled is left out, unless `again`.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn pull(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    batch: default!(Option<i32>, "50000"),
    pipeline: default!(Option<String>, "'aidt'"),
    jobs: default!(Option<i32>, "2"),
    commit: default!(Option<String>, "'batch'"),
    again: default!(Option<bool>, "false"),
) -> TableIterator<
    'static,
    (
        name!(run_id, i64),
        name!(batch_no, i32),
        name!(partition, String),
        name!(rows, i64),
        name!(rejected, i64),
        name!(bytes, i64),
        name!(last_timestamp, Option<TimestampWithTimeZone>),
        name!(last_actor_id, Option<i64>),
        name!(source_wait_ms, f64),
        name!(transform_ms, f64),
        name!(insert_ms, f64),
        name!(commit_ms, f64),
        name!(elapsed_ms, f64),
    ),
> {
    or_raise(check_version());
    let pool = WorkerPool::of_this_call();
    let arguments = or_raise(check(from, to, batch, pipeline, jobs, commit, again));
    let mut run = or_raise(Run::start(&arguments, pool));
    TableIterator::new(std::iter::from_fn(move || {
        // Of a range that was repaired, only what was pulled is a batch.
        let batch = std::iter::from_fn(|| or_raise(run.next_batch())).find(|b| !b.is_empty());
        batch.map(|batch| row(run.request(), &batch))
    }))
}

fn check(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    batch: Option<i32>,
    pipeline: Option<String>,
    jobs: Option<i32>,
    commit: Option<String>,
    again: Option<bool>,
) -> Result<Arguments, Failure> {
    let commit = present(commit, "commit")?;
    Ok(Arguments {
        period: check_period(from, to)?,
        batch: batch_size(batch)?,
        pipeline: present(pipeline, "pipeline")?,
        jobs: at_least_one(
            jobs,
            "jobs",
            "jobs is how many workers share the slices; 2 is a good number.",
        )?
        .min(1_000),
        commit: CommitMode::parse(&commit).ok_or_else(|| {
            Failure::argument(format!("commit => '{commit}' is not known"))
                .with_hint("It is one of 'batch', 'slice', 'caller'.")
        })?,
        again: present(again, "again")?,
        repair: None,
    })
}

fn batch_size(rows: Option<i32>) -> Result<BatchSize, Failure> {
    let rows = at_least_one(rows, "batch", "batch is a number of rows; 50000 is a good one.")?;
    BatchSize::new(rows).ok_or_else(|| Failure::internal("a batch without rows"))
}

fn row(request: &PullRequest, batch: &Batch) -> Row {
    (
        request.run_id,
        batch.batch_no,
        request.slice(batch.slice_no).map(|s| s.partition.clone()).unwrap_or_default(),
        batch.rows,
        batch.rejected,
        batch.bytes,
        batch.last.and_then(|key| to_server(key.timestamp)),
        batch.last.and_then(|key| key.actor),
        batch.source_wait_ms,
        batch.transform_ms,
        batch.insert_ms,
        batch.commit_ms,
        batch.elapsed_ms,
    )
}
