//! Runs: opened with their slices, closed with their outcome.

use super::{coverage, stage};
use crate::backend::role::as_owner;
use crate::backend::time::to_server;
use crate::error::Failure;
use crate::pg_compat;
use crate::run::request::{Request, SliceRequest};
use pgrx::prelude::*;

/// What a run is opened with.
pub struct NewRun<'a> {
    pub request: &'a Request,
    pub leader_pid: i32,
}

/// Writes the run and its slices.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn open_run(new: &NewRun<'_>) -> Result<(), Failure> {
    as_owner(|| write_run(new)).map_err(Failure::from)
}

fn write_run(new: &NewRun<'_>) -> Result<(), pgrx::spi::Error> {
    let request = new.request;
    if request.again {
        // Else a call that is cut off could not be gone on with: all of its period is covered. Only
        // what is pulled again: what the source has no partition for any more stays known.
        for SliceRequest { interval, .. } in &request.slices {
            let [from, to] = [interval.from, interval.to].map(|edge| to_server(edge.timestamp()));
            coverage::drop_memory(&request.pipeline, from, to)?;
        }
    }
    let target = request.target.sql_name.as_str();
    let counters = stage::counters(Some(target))?;
    // What this process wrote before is not the run's.
    stage::take_wal_bytes();
    Spi::connect_mut(|client| {
        client.update(
            include_str!("../../sql/ledger/open_run.sql"),
            None,
            &[
                request.run_id.into(),
                request.pipeline.as_str().into(),
                to_server(request.from).into(),
                to_server(request.to).into(),
                request.batch.into(),
                request.jobs.into(),
                request.commit.as_str().into(),
                request.again.into(),
                request.caller.as_str().into(),
                new.leader_pid.into(),
                target.into(),
                counters.into(),
            ],
        )?;
        for slice in &request.slices {
            let (from, from_actor) = coverage::columns(slice.interval.from);
            let (to, to_actor) = coverage::columns(slice.interval.to);
            client.update(
                include_str!("../../sql/ledger/open_slice.sql"),
                None,
                &[
                    request.run_id.into(),
                    slice.slice_no.into(),
                    request.pipeline.as_str().into(),
                    slice.partition.as_str().into(),
                    from.into(),
                    from_actor.into(),
                    to.into(),
                    to_actor.into(),
                    slice.estimated_rows.into(),
                    slice.warning.as_deref().into(),
                ],
            )?;
        }
        Ok(())
    })
}

/// Writes how a run ended, unless it has ended already.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn close_run(run_id: i64, state: &str, failure: Option<&Failure>) -> Result<(), Failure> {
    let part = |f: fn(&Failure) -> Option<&str>| failure.and_then(f).map(str::to_owned);
    as_owner(|| {
        let counters = counters_at_end(run_id, state)?;
        Spi::connect_mut(|client| {
            client
                .update(
                    include_str!("../../sql/ledger/close_run.sql"),
                    None,
                    &[
                        run_id.into(),
                        state.into(),
                        part(|f| Some(&f.sqlstate)).into(),
                        part(|f| Some(&f.message)).into(),
                        part(|f| f.detail.as_deref()).into(),
                        part(|f| f.hint.as_deref()).into(),
                        counters.into(),
                    ],
                )
                .map(|_| ())
        })
    })
    .map_err(Failure::from)
}

/// The stage's counters at the end of a run. A run that is being stopped has no time to wait for
/// statistics: before 15 it goes without.
fn counters_at_end(run_id: i64, state: &str) -> Result<Option<String>, pgrx::spi::Error> {
    if state == "cancelled" && pg_compat::SERVER_MAJOR < 15 {
        return Ok(None);
    }
    stage::counters(target_of(run_id)?.as_deref())
}

/// The name of the table that a run loads.
pub fn target_of(run_id: i64) -> Result<Option<String>, pgrx::spi::Error> {
    Spi::get_one_with_args(
        "select (select r.target from lrs_extract.run r where r.run_id = $1)",
        &[run_id.into()],
    )
}

/// Takes the lock that the workers of a pipeline share, until this process ends.
///
/// # Errors
/// 55006 when somebody has it for himself; else [`Failure`] as the server says.
pub fn lock_as_worker(pipeline: &str) -> Result<(), Failure> {
    let sql = "select pg_try_advisory_lock_shared($1, hashtext($2))";
    let arguments = [super::WORKER_LOCK_CLASS.into(), pipeline.into()];
    match as_owner(|| Spi::get_one_with_args::<bool>(sql, &arguments))? {
        Some(true) => Ok(()),
        // The leader had it a moment ago, and workers share it: not one of ours.
        _ => Err(Failure::new(
            "55006",
            format!("another session holds the advisory lock of pipeline \"{pipeline}\""),
        )
        .with_hint("See the advisory locks in pg_locks, and end the session that has it.")),
    }
}

/// Who has a pipeline's lock.
pub struct Holder {
    pub pid: i32,
    /// The run that it leads, as far as it is committed.
    pub run_id: Option<i64>,
    /// What its worker says it is at.
    pub doing: Option<String>,
}

/// Who has the pipeline's lock now; `None` when it has just been given back.
///
/// # Errors
/// [`Failure`] when the locks cannot be read.
pub fn holder(pipeline: &str) -> Result<Option<Holder>, Failure> {
    let classes = [super::LOCK_CLASS, super::WORKER_LOCK_CLASS].map(i64::from);
    as_owner(|| {
        Spi::connect(|client| {
            let sql = include_str!("../../sql/ledger/holder.sql");
            let arguments = [classes[0].into(), classes[1].into(), pipeline.into()];
            let Some(row) = client.select(sql, Some(1), &arguments)?.next() else {
                return Ok(None);
            };
            let (run_id, doing) = (row.get_by_name("run_id")?, row.get_by_name("doing")?);
            Ok(row.get_by_name("pid")?.map(|pid| Holder { pid, run_id, doing }))
        })
    })
    .map_err(|error: pgrx::spi::Error| error.into())
}
