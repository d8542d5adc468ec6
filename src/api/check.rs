//! `lrs_extract.check`: whether a pull would go through.

use super::arguments::present;
use crate::backend::extension::check_version;
use crate::check;
use crate::error::{Failure, or_raise};
use pgrx::prelude::*;

type Row = (String, Option<bool>, String, Option<String>);

/// One row a check of a pipeline, always the same ones in the same order: what was found, and where
/// it is not as a pull needs it, what to type. Changes nothing.
#[pg_extern(volatile, parallel_unsafe, name = "check")]
#[allow(clippy::type_complexity)]
fn check_pipeline(
    pipeline: default!(Option<String>, "'aidt'"),
) -> TableIterator<
    'static,
    (
        name!(name, String),
        name!(ok, Option<bool>),
        name!(found, String),
        name!(advice, Option<String>),
    ),
> {
    TableIterator::new(or_raise(rows(pipeline)))
}

fn rows(pipeline: Option<String>) -> Result<Vec<Row>, Failure> {
    check_version()?;
    let findings = check::check(&present(pipeline, "pipeline")?)?;
    Ok(findings
        .into_iter()
        .map(|finding| (finding.name.to_owned(), finding.ok, finding.found, finding.advice))
        .collect())
}
