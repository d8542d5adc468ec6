//! `lrs_extract.repair`: what came late, changed or went.

use super::arguments::{check_period, present};
use crate::backend::extension::check_version;
use crate::backend::time::to_server;
use crate::error::{Failure, or_raise};
use crate::ledger::{Batch, RangeDifference};
use crate::pool::WorkerPool;
use crate::pull::{Arguments, CommitMode, Method, PullRequest, Run, Surplus};
use crate::source::BatchSize;
use crate::verify::Level;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

type Row = (
    Option<i64>,
    String,
    Option<TimestampWithTimeZone>,
    Option<TimestampWithTimeZone>,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    f64,
);

/// Workers that compare slices side by side.
const JOBS: i32 = 2;
/// Rows of a batch that is read from the source.
const BATCH: i32 = 50_000;

/// Makes the target hold what the source holds in the pulled part of `["from", "to")`, in committed steps, and
/// returns a row for each range that differed. With the level 'count', ranges whose numbers of rows and times
/// agree are taken as equal; with 'hash', their statements are compared too. What is missing is pulled; what the source does not have
/// is deleted with `surplus` 'delete' alone. With `dry_run`, nothing is changed, and nothing written.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn repair(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
    level: default!(Option<String>, "'count'"),
    surplus: default!(Option<String>, "'keep'"),
    dry_run: default!(Option<bool>, "false"),
) -> TableIterator<
    'static,
    (
        name!(run_id, Option<i64>),
        name!(partition, String),
        name!(from, Option<TimestampWithTimeZone>),
        name!(to, Option<TimestampWithTimeZone>),
        name!(source_rows, i64),
        name!(target_rows, i64),
        name!(rejected_rows, i64),
        name!(missing, i64),
        name!(surplus, i64),
        name!(changed, i64),
        name!(pulled, i64),
        name!(deleted, i64),
        name!(elapsed_ms, f64),
    ),
> {
    or_raise(check_version());
    let pool = WorkerPool::of_this_call();
    let arguments = or_raise(check(from, to, pipeline, level, surplus, dry_run));
    let mut run = or_raise(Run::start(&arguments, pool));
    TableIterator::new(std::iter::from_fn(move || {
        std::iter::from_fn(|| or_raise(run.next_batch()))
            .find_map(|batch| batch.range.map(|range| (batch, range)))
            .map(|(batch, range)| row(run.request(), &batch, &range))
    }))
}

fn check(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    level: Option<String>,
    surplus: Option<String>,
    dry_run: Option<bool>,
) -> Result<Arguments, Failure> {
    let level = Level::parse(&present(level, "level")?)?;
    if level == Level::Keys {
        return Err(Failure::argument("repair takes no level 'keys'")
            .with_detail("It is 'count' or 'hash'; 'keys' is one of verify.")
            .with_hint("select * from lrs_extract.repair('2025-03-01', '2025-04-01', level => 'hash', dry_run => true);"));
    }
    let surplus = Surplus::parse(&present(surplus, "surplus")?)?;
    Ok(Arguments {
        period: check_period(from, to)?,
        batch: BatchSize::new(BATCH).ok_or_else(|| Failure::internal("a batch without rows"))?,
        pipeline: present(pipeline, "pipeline")?,
        jobs: JOBS,
        commit: CommitMode::Batch,
        again: false,
        repair: Some(Method::new(level, surplus, present(dry_run, "dry_run")?)),
    })
}

fn row(request: &PullRequest, batch: &Batch, range: &RangeDifference) -> Row {
    (
        (!request.is_dry_run()).then_some(request.run_id),
        request.slice(batch.slice_no).map(|s| s.partition.clone()).unwrap_or_default(),
        to_server(range.from),
        to_server(range.to),
        range.source_rows,
        range.target_rows,
        range.rejected_rows,
        range.missing,
        range.surplus,
        range.changed,
        batch.taken(),
        range.deleted,
        batch.elapsed_ms,
    )
}
