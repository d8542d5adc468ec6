//! `lrs_extract.replay`: rejects taken through the mapping again.

use super::arguments::{Period, present};
use super::exclusive::{check_writable, lock_pipeline};
use super::survey::fit;
use crate::error::{Failure, or_raise};
use crate::run::actor::Actor;
use crate::run::crew::Crew;
use crate::run::replay::{self, ReplayRequest};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Takes a pipeline's rejects of `["from", "to")` through its present mapping, in committed steps:
/// what fits now goes into the target and leaves `reject`, the rest stays with the reason of today.
/// Returns how many rows went in. The source is not asked.
#[pg_extern(volatile, parallel_unsafe)]
fn replay(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
) -> i64 {
    let crew = Crew::of_this_call();
    or_raise(replay_period(from, to, pipeline, crew))
}

fn replay_period(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    crew: *mut Crew,
) -> Result<i64, Failure> {
    let period = Period::check(from, to)?;
    let pipeline = present(pipeline, "pipeline")?;
    check_writable("replay")?;
    let _claim = lock_pipeline(&pipeline)?;
    let fitted = fit(&pipeline)?;
    let request = ReplayRequest {
        pipeline,
        actor: Actor::of_this_session()?,
        from: period.from.into_inner(),
        to: period.to.into_inner(),
        actor_column: fitted.pipeline.actor_column,
        target: fitted.target,
        recipe: fitted.recipe,
    };
    replay::replay(crew, &request)
}
