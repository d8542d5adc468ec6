//! `lrs_extract.cancel` and `lrs_extract.forget`.

use super::arguments::{Period, no_such_run, present};
use super::connection::check_usage;
use super::exclusive::lock_pipeline;
use crate::backend::role::{self, current_role, is_superuser};
use crate::error::{Failure, or_raise};
use crate::ledger::{self, Pipeline};
use crate::load;
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
    let found = role::as_owner(|| {
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
            // The workers too: a leader that waits for its client to fetch does not hear of it.
            let sql = "select array_agg(w.pid) from lrs_extract.workers w where w.run_id = $1";
            let workers =
                role::as_owner(|| Spi::get_one_with_args::<Vec<i32>>(sql, &[run_id.into()]))?;
            let mut told = false;
            for pid in std::iter::once(pid).chain(workers.unwrap_or_default()) {
                // As the caller: the server checks who may cancel whom.
                let sql = "select pg_catalog.pg_cancel_backend($1)";
                told |= Spi::get_one_with_args::<bool>(sql, &[pid.into()])?.unwrap_or(false);
            }
            Ok(told)
        }
        Some(_) => Ok(false),
    }
}

/// Drops the memory that `["from", "to")` was pulled, so that the next pull takes it again, and the
/// rejects of that time, which come again with it; returns the number of slices that knew of it.
/// Rows in the target stay: delete them first, or they will be there twice.
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
    check_may_pull(&pipeline)?;
    let _claim = lock_pipeline(&pipeline.name)?;
    ledger::forget(&pipeline.name, period.from, period.to)
}

/// Who could not have pulled a period has nothing to forget: the next pull would double it. A
/// superuser's target may be gone.
fn check_may_pull(pipeline: &Pipeline) -> Result<(), Failure> {
    let role = current_role();
    if is_superuser(role) {
        return Ok(());
    }
    check_usage(&pipeline.server, role)?;
    let target = load::describe(&pipeline.target_table, role)?;
    target.check_privileges(pipeline.mapping.columns.iter().map(|c| c.column.as_str()))
}
