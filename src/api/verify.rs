//! `lrs_extract.verify`: source, target and rejects side by side.

use super::arguments::{check_period, present};
use crate::backend::time::to_server;
use crate::error::{Failure, or_raise};
use crate::verify::{Comparison, Level, Verification};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

type Row =
    (String, Option<TimestampWithTimeZone>, Option<TimestampWithTimeZone>, i64, i64, i64, bool);

/// One row a slice of the period, as `plan` lays them out: the rows of the source, of the target
/// and of `reject`, and whether they add up; with the level 'hash', whether their statements are the
/// same too, in whatever order.
/// Nothing is changed, and no lock keeps a pull away: a slice that is not pulled to its end shows
/// as not ok.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn verify(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
    level: default!(Option<String>, "'count'"),
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
    ),
> {
    let mut verification = or_raise(start(from, to, pipeline, level));
    TableIterator::new(std::iter::from_fn(move || {
        or_raise(verification.next_comparison()).map(row)
    }))
}

fn start(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    level: Option<String>,
) -> Result<Verification, Failure> {
    let period = check_period(from, to)?;
    let pipeline = present(pipeline, "pipeline")?;
    let level = Level::parse(&present(level, "level")?)?;
    Verification::start(&pipeline, period, level)
}

fn row(slice: Comparison) -> Row {
    (
        slice.partition,
        to_server(slice.from),
        to_server(slice.to),
        slice.source_rows,
        slice.target_rows,
        slice.rejected_rows,
        slice.ok,
    )
}
