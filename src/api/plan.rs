//! `lrs_extract.plan`: what a pull of the same period would do.

use super::arguments::{check_period, present};
use crate::backend::extension::check_version;
use crate::backend::time::to_server;
use crate::error::{Failure, or_raise};
use crate::plan::survey;
use crate::source::TYPICAL_PAGE;
use crate::threads::FirstConnection;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

type Row = (
    String,
    Option<TimestampWithTimeZone>,
    Option<TimestampWithTimeZone>,
    i64,
    i64,
    String,
    String,
    Option<String>,
);

/// One row a slice of the period: what the source expects of it, how it would be read, and how
/// much of it earlier runs have pulled. Nothing is counted and nothing is changed.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn plan(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
) -> TableIterator<
    'static,
    (
        name!(partition, String),
        name!(from, Option<TimestampWithTimeZone>),
        name!(to, Option<TimestampWithTimeZone>),
        name!(estimated_rows, i64),
        name!(estimated_bytes, i64),
        name!(access_path, String),
        name!(state, String),
        name!(warning, Option<String>),
    ),
> {
    TableIterator::new(or_raise(rows(from, to, pipeline)))
}

fn rows(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
) -> Result<Vec<Row>, Failure> {
    check_version()?;
    let period = check_period(from, to)?;
    let pipeline = present(pipeline, "pipeline")?;
    let survey = survey(&pipeline, period, false, Some(TYPICAL_PAGE), FirstConnection::Once)?;
    Ok(survey
        .slices
        .into_iter()
        .map(|slice| {
            (
                slice.planned.partition.clone(),
                to_server(slice.planned.from),
                to_server(slice.planned.to),
                slice.estimate.rows,
                slice.estimate.bytes,
                slice.access_path(),
                slice.state().as_str().to_owned(),
                slice.warning,
            )
        })
        .collect())
}
