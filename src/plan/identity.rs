//! By what the target knows a source row again: its time and its statement's id.

use crate::error::Failure;
use crate::ledger::Pipeline;
use crate::load::{Identity, Target};

/// The columns of `target` that hold a row's time and its statement's id, by which rows are known again.
///
/// # Errors
/// 0A000 where the mapping stores no such.
pub fn identity(pipeline: &Pipeline, target: &Target) -> Result<Identity, Failure> {
    let (id, timestamp) = (id_column(pipeline)?, timestamp_column(pipeline)?);
    Identity::of(target, id, timestamp)
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
