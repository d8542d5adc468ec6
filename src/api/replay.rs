//! `lrs_extract.replay`: rejects taken through the mapping again.

use super::arguments::{check_period, present};
use crate::backend::extension::check_version;
use crate::backend::transaction::{Subtransaction, check_writable};
use crate::error::{Failure, or_raise};
use crate::ledger::lock_pipeline;
use crate::maintenance::{self, ReplayRequest};
use crate::plan::BoundPipeline;
use crate::pool::WorkerPool;
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
    or_raise(check_version());
    let pool = WorkerPool::of_this_call();
    or_raise(replay_period(from, to, pipeline, pool))
}

fn replay_period(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    pool: *mut WorkerPool,
) -> Result<i64, Failure> {
    let period = check_period(from, to)?;
    let pipeline = present(pipeline, "pipeline")?;
    check_writable("replay")?;
    let _lock = lock_pipeline(&pipeline)?;
    let request =
        Subtransaction::look(|| ReplayRequest::new(BoundPipeline::read(&pipeline)?, period))?;
    maintenance::replay(pool, &request)
}
