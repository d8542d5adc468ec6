//! `lrs_extract.dedup`: rows of the target that came twice.

use super::arguments::{Period, present};
use super::exclusive::{check_writable, lock_pipeline};
use crate::backend::role::current_role;
use crate::error::{Failure, or_raise};
use crate::ledger::Pipeline;
use crate::load::{self, Doubles};
use crate::run::actor::Actor;
use crate::run::crew::Crew;
use crate::run::dedup::{self, DedupRequest};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Removes the rows of `["from", "to")` of a pipeline's target that came twice, by id, in committed
/// steps; the earliest stays. Returns how many went. Rows without an id are never doubles.
#[pg_extern(volatile, parallel_unsafe)]
fn dedup(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
) -> i64 {
    let crew = Crew::of_this_call();
    or_raise(dedup_period(from, to, pipeline, crew))
}

fn dedup_period(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    crew: *mut Crew,
) -> Result<i64, Failure> {
    let period = Period::check(from, to)?;
    let pipeline = present(pipeline, "pipeline")?;
    check_writable("dedup")?;
    let _claim = lock_pipeline(&pipeline)?;
    let pipeline = Pipeline::read(&pipeline)?;
    let target = load::describe(&pipeline.target_table, current_role())?;
    let doubles =
        Doubles::of(&target, id_column(&pipeline)?, timestamp_column(&pipeline)?, current_role())?;
    let request = DedupRequest {
        actor: Actor::of_this_session()?,
        doubles,
        from: period.from.into_inner(),
        to: period.to.into_inner(),
        pipeline: pipeline.name,
    };
    dedup::dedup(crew, &request)
}

/// The target column that holds the statement's id.
fn id_column(pipeline: &Pipeline) -> Result<&str, Failure> {
    let hint = format!(
        "Doubles are known by the column that the mapping fills from {{\"path\": [\"id\"]}}, without a default: update lrs_extract.pipeline set mapping = mapping || '{{\"id\": {{\"path\": [\"id\"]}}}}' where name = {};",
        pgrx::spi::quote_literal(&pipeline.name)
    );
    let mut columns = pipeline.mapping.filled_from_path(&["id"]).peekable();
    if columns.peek().is_none() {
        return Err(Failure::new(
            "0A000",
            format!("pipeline \"{}\" keeps no id to know doubles by", pipeline.name),
        )
        .with_hint(hint));
    }
    // Rows without an id that share a default are no doubles of each other.
    columns.find(|c| c.default.is_none()).map(|c| c.column.as_str()).ok_or_else(|| {
        Failure::new(
            "0A000",
            format!("pipeline \"{}\" gives statements without an id a default one", pipeline.name),
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
            format!("pipeline \"{}\" keeps no timestamp to tell the period by", pipeline.name),
        )
        .with_hint(format!(
            "The period is that of the column which the mapping fills from {{\"source\": \"{source}\"}}; add one to the mapping in lrs_extract.pipeline, and to the target."
        ))
    })
}
