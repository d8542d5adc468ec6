//! `lrs_extract.cancel` and `lrs_extract.forget`.

use super::arguments::{Period, no_such_run, present};
use crate::error::{Failure, or_raise};
use crate::ledger::{self, Pipeline};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Cancels a run that is under way; true when it was told to stop, false when it is not running.
/// What it committed stays. As with `pg_cancel_backend`, the run must be of a role that the caller
/// belongs to.
#[pg_extern(volatile, parallel_unsafe)]
fn cancel(run_id: Option<i64>) -> bool {
    or_raise(cancel_run(run_id))
}

fn cancel_run(run_id: Option<i64>) -> Result<bool, Failure> {
    let run_id = present(run_id, "run_id")?;
    let sql = "select r.state, r.leader_pid from lrs_extract.runs r where r.run_id = $1";
    let found = ledger::as_owner(|| {
        Spi::connect(|client| {
            let mut rows = client.select(sql, Some(1), &[run_id.into()])?;
            Ok::<_, pgrx::spi::Error>(match rows.next() {
                Some(row) => Some((row.get::<String>(1)?, row.get::<i32>(2)?)),
                None => None,
            })
        })
    })?;
    match found {
        None => Err(no_such_run(run_id)),
        Some((Some(state), Some(pid))) if state == "running" => {
            // As the caller: the server checks who may cancel whom.
            let told = Spi::get_one_with_args::<bool>(
                "select pg_catalog.pg_cancel_backend($1)",
                &[pid.into()],
            )?;
            Ok(told.unwrap_or(false))
        }
        Some(_) => Ok(false),
    }
}

/// Drops the memory that `["from", "to")` was pulled, so that the next pull takes it again;
/// returns the number of slices that knew of it. Rows in the target stay: delete them first, or
/// they will be there twice.
#[pg_extern(volatile, parallel_unsafe)]
fn forget(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
) -> i64 {
    or_raise(forget_period(from, to, pipeline))
}

fn forget_period(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
) -> Result<i64, Failure> {
    let period = Period::check(from, to)?;
    let pipeline = Pipeline::read(&present(pipeline, "pipeline")?)?;
    let _claim = super::pull::lock_pipeline(&pipeline.name)?;
    ledger::forget(&pipeline.name, period.from, period.to)
}
