//! `lrs_extract.dedup`: rows of the target that came twice.

use super::arguments::{check_period, present};
use crate::backend::extension::check_version;
use crate::backend::transaction::{Subtransaction, check_writable};
use crate::error::{Failure, or_raise};
use crate::ledger::{Pipeline, lock_pipeline};
use crate::maintenance::{self, DedupRequest};
use crate::pool::WorkerPool;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Removes the rows of `["from", "to")` of a pipeline's target that came twice, by id, in committed
/// steps; the earliest stays. Returns how many went. Rows without an id are never duplicates.
#[pg_extern(volatile, parallel_unsafe)]
fn dedup(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
) -> i64 {
    or_raise(check_version());
    let pool = WorkerPool::of_this_call();
    or_raise(dedup_period(from, to, pipeline, pool))
}

fn dedup_period(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    pool: *mut WorkerPool,
) -> Result<i64, Failure> {
    let period = check_period(from, to)?;
    let pipeline = present(pipeline, "pipeline")?;
    check_writable("dedup")?;
    let _lock = lock_pipeline(&pipeline)?;
    let request = Subtransaction::look(|| DedupRequest::new(Pipeline::read(&pipeline)?, period))?;
    maintenance::dedup(pool, &request)
}
