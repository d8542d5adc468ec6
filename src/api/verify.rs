//! `lrs_extract.verify`: source, target and rejects side by side.

use super::arguments::{at_least_one, check_period, present};
use crate::backend::extension::check_version;
use crate::backend::time::to_server;
use crate::error::{Failure, or_raise};
use crate::pool::WorkerPool;
use crate::verify::{Comparison, Level, Verification, VerifyArguments};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

type Row = (
    String,
    Option<TimestampWithTimeZone>,
    Option<TimestampWithTimeZone>,
    i64,
    i64,
    i64,
    bool,
    Option<&'static str>,
    Option<String>,
    Option<i64>,
);

/// One row a slice of the period, as `plan` lays them out: the rows of the source, of the target
/// and of `reject`, and whether they add up, in their times, too; with the level 'hash', whether their
/// statements are the same, in whatever order. With 'keys', a row for each statement in which both sides
/// differ, `max_rows` of them at most. `jobs` workers compare slices side by side.
/// Nothing is changed, and no lock keeps a pull away: a slice that is not pulled to its end shows
/// as not ok.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn verify(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
    level: default!(Option<String>, "'count'"),
    jobs: default!(Option<i32>, "1"),
    max_rows: default!(Option<i32>, "1000"),
) -> TableIterator<
    'static,
    (
        name!(partition, String),
        name!(from, Option<TimestampWithTimeZone>),
        name!(to, Option<TimestampWithTimeZone>),
        name!(source_rows, i64),
        name!(target_rows, i64),
        name!(rejected_rows, i64),
        name!(ok, bool),
        name!(difference, Option<&'static str>),
        name!(id, Option<String>),
        name!(actor_id, Option<i64>),
    ),
> {
    or_raise(check_version());
    let pool = WorkerPool::of_this_call();
    let arguments = or_raise(check(from, to, pipeline, level, jobs, max_rows));
    let mut verification = or_raise(Verification::start(&arguments, pool));
    TableIterator::new(std::iter::from_fn(move || {
        or_raise(verification.next_comparison()).map(row)
    }))
}

fn check(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    level: Option<String>,
    jobs: Option<i32>,
    max_rows: Option<i32>,
) -> Result<VerifyArguments, Failure> {
    let jobs =
        at_least_one(jobs, "jobs", "jobs is how many workers compare slices; 1 needs none.")?;
    let max_rows = at_least_one(
        max_rows,
        "max_rows",
        "max_rows is how many differing statements are shown with level => 'keys'.",
    )?;
    Ok(VerifyArguments {
        period: check_period(from, to)?,
        pipeline: present(pipeline, "pipeline")?,
        level: Level::parse(&present(level, "level")?)?,
        jobs: u16::try_from(jobs.min(1_000)).unwrap_or(1),
        max_rows: usize::try_from(max_rows).unwrap_or(1),
    })
}

fn row(found: Comparison) -> Row {
    let (difference, id, actor) = match found.row {
        Some(row) => (Some(row.difference), row.id, row.actor),
        None => (None, None, None),
    };
    (
        found.partition,
        to_server(found.range.from),
        to_server(found.range.to),
        found.source_rows,
        found.target_rows,
        found.rejected_rows,
        found.ok,
        difference,
        id,
        actor,
    )
}
