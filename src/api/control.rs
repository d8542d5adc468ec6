//! `lrs_extract.cancel` and `lrs_extract.forget`.

use super::arguments::{check_period, no_such_run, present};
use crate::backend::extension::check_version;
use crate::backend::role::{current_role, is_superuser};
use crate::backend::time::{Period, from_server};
use crate::error::{Failure, or_raise};
use crate::ledger::{self, Pipeline, RunState, lock_pipeline};
use crate::load;
use crate::plan::check_usage;
use crate::slice::{Edge, Interval};
use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Cancels a run that is under way; true when the signal was sent, false when it is not running.
/// What it committed stays. As with `pg_cancel_backend`, the run must be of a role that the caller
/// belongs to.
#[pg_extern(volatile, parallel_unsafe)]
fn cancel(run_id: Option<i64>) -> bool {
    or_raise(cancel_run(run_id))
}

fn cancel_run(run_id: Option<i64>) -> Result<bool, Failure> {
    check_version()?;
    let run_id = present(run_id, "run_id")?;
    match ledger::run_state(run_id)? {
        None => Err(no_such_run(run_id)),
        Some(RunState { state, leader_pid: Some(pid) }) if state == "running" => {
            let mut sent = false;
            // The workers too: a leader that waits for its client to fetch does not process the cancel.
            for pid in std::iter::once(pid).chain(ledger::workers_of(run_id)?) {
                // As the caller: the server checks who may cancel whom.
                let sql = "select pg_catalog.pg_cancel_backend($1)";
                sent |= Spi::get_one_with_args::<bool>(sql, &[pid.into()])?.unwrap_or(false);
            }
            Ok(sent)
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
    check_version()?;
    let period = check_period(from, to)?;
    let pipeline = Pipeline::read(&present(pipeline, "pipeline")?)?;
    check_may_pull(&pipeline)?;
    let _lock = lock_pipeline(&pipeline.name)?;
    check_scans_within(&pipeline.id, period)?;
    ledger::forget(&pipeline.id, period)
}

/// Which rows an unfinished scan of a heap has pulled is known of its period as a whole only.
fn check_scans_within(pipeline_id: &str, period: Period) -> Result<(), Failure> {
    let forgotten = Interval::new(
        Edge::Before(from_server(period.from).unwrap_or(DateTime::<Utc>::MIN_UTC)),
        Edge::Before(from_server(period.to).unwrap_or(DateTime::<Utc>::MAX_UTC)),
    );
    for unfinished in ledger::unfinished_scans(pipeline_id, period)? {
        let scan = &unfinished.scan;
        if scan.interval.intersect(&forgotten) != scan.interval {
            let (from, to) = (scan.interval.from.timestamp(), scan.interval.to.timestamp());
            return Err(unfinished.half_read()
            .with_detail(format!(
                "Which rows from {from} to {to} are pulled is known when all its blocks are read."
            ))
            .with_hint("Finish it first, by a pull of the period, or forget all of it."));
        }
    }
    Ok(())
}

/// A role that could not have pulled a period may not forget it: the next pull would double it. A
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
