//! The table `run`: a run opened with its slices, closed with its outcome.

use super::{heap_scan, slice, stage};
use crate::backend::role::as_owner;
use crate::backend::time::{Period, to_server};
use crate::error::Failure;
use crate::pg_compat;
use crate::slice::{HeapScan, Slice};
use crate::source::BatchSize;
use chrono::{DateTime, Utc};
use pgrx::prelude::*;

/// What a run is opened with.
pub struct NewRun<'a> {
    pub run_id: i64,
    /// 'pull' or 'repair'.
    pub kind: &'a str,
    pub pipeline: &'a str,
    pub pipeline_id: &'a str,
    /// The period after clipping.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub batch_size: BatchSize,
    pub jobs: i32,
    pub commit_mode: &'a str,
    pub again: bool,
    /// The caller's role, by name.
    pub caller: &'a str,
    pub leader_pid: i32,
    /// The target's name as SQL writes it.
    pub target: &'a str,
    pub target_oid: pg_sys::Oid,
    /// The foreign server and the source's table, as the pipeline names them.
    pub server: &'a str,
    pub source_table: &'a str,
    /// The source's table; see [`crate::source::Table::identity`].
    pub source_id: Option<&'a str>,
    pub slices: &'a [Slice],
    /// The scans that slices of heaps belong to.
    pub scans: &'a [HeapScan],
}

/// A run as it is shown before it has slices.
pub struct AnnouncedRun<'a> {
    pub run_id: i64,
    pub kind: &'a str,
    pub pipeline: &'a str,
    pub pipeline_id: &'a str,
    /// As asked for.
    pub period: Period,
    pub batch: i32,
    pub jobs: i32,
    pub commit_mode: &'a str,
    pub again: bool,
    pub caller: &'a str,
    pub leader_pid: i32,
}

/// Writes a run that has no slices yet.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn announce_run(new: &AnnouncedRun<'_>) -> Result<(), Failure> {
    let write = || {
        Spi::run_with_args(
            include_str!("../../sql/ledger/announce_run.sql"),
            &[
                new.run_id.into(),
                new.pipeline.into(),
                new.period.from.into(),
                new.period.to.into(),
                new.batch.into(),
                new.jobs.into(),
                new.commit_mode.into(),
                new.again.into(),
                new.caller.into(),
                new.leader_pid.into(),
                new.pipeline_id.into(),
                new.kind.into(),
            ],
        )
    };
    as_owner(write).map_err(Failure::from)
}

/// Writes the run and its slices.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn open_run(new: &NewRun<'_>) -> Result<(), Failure> {
    as_owner(|| write_run(new)).map_err(Failure::from)
}

fn write_run(new: &NewRun<'_>) -> Result<(), pgrx::spi::Error> {
    if new.again {
        // Else a call that is cut off could not be resumed: all of its period would be covered. Only
        // what is pulled again: what the source has no partition for any more stays known.
        for Slice { interval, .. } in new.slices {
            let [from, to] = [interval.from, interval.to].map(|edge| to_server(edge.timestamp()));
            slice::drop_memory(new.pipeline_id, from, to)?;
        }
    }
    let counters = stage::counters(Some(new.target))?;
    // What this process wrote before is not the run's.
    stage::take_wal_bytes();
    Spi::connect_mut(|client| {
        client.update(
            include_str!("../../sql/ledger/open_run.sql"),
            None,
            &[
                new.run_id.into(),
                new.pipeline.into(),
                to_server(new.from).into(),
                to_server(new.to).into(),
                i32::try_from(new.batch_size.rows()).ok().into(),
                new.jobs.into(),
                new.commit_mode.into(),
                new.again.into(),
                new.caller.into(),
                new.leader_pid.into(),
                new.target.into(),
                counters.into(),
                new.target_oid.into(),
                new.server.into(),
                new.source_table.into(),
                new.source_id.into(),
                new.pipeline_id.into(),
                new.kind.into(),
            ],
        )?;
        for scan in new.scans {
            heap_scan::open(new.run_id, new.pipeline, scan)?;
        }
        for new_slice in new.slices {
            let (from, from_actor) = slice::columns(new_slice.interval.from);
            let (to, to_actor) = slice::columns(new_slice.interval.to);
            client.update(
                include_str!("../../sql/ledger/open_slice.sql"),
                None,
                &[
                    new.run_id.into(),
                    new_slice.slice_no.into(),
                    new.pipeline.into(),
                    new_slice.partition.as_str().into(),
                    from.into(),
                    from_actor.into(),
                    to.into(),
                    to_actor.into(),
                    new_slice.estimated_rows.into(),
                    new_slice.warning.as_deref().into(),
                    new_slice.blocks.map(|blocks| blocks.scan_id).into(),
                    new_slice.blocks.map(|blocks| i64::from(blocks.from)).into(),
                    new_slice.blocks.and_then(|blocks| blocks.to).map(i64::from).into(),
                    new_slice.walk.as_deref().into(),
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

/// A number for a new run.
///
/// # Errors
/// [`Failure`] when the sequence gives none.
pub fn next_run_id() -> Result<i64, Failure> {
    as_owner(|| Spi::get_one::<i64>("select nextval('lrs_extract.run_id_seq')"))?
        .ok_or_else(|| Failure::internal("no number for the run"))
}

/// A run as the view `runs` has it.
pub struct RunState {
    pub state: String,
    pub leader_pid: Option<i32>,
}

/// How a run stands; `None` when there is no such run.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn run_state(run_id: i64) -> Result<Option<RunState>, Failure> {
    let sql = "select r.state, r.leader_pid from lrs_extract.runs r where r.run_id = $1";
    let read = || {
        Spi::connect(|client| {
            let mut rows = client.select(sql, Some(1), &[run_id.into()])?;
            let Some(row) = rows.next() else { return Ok(None) };
            let state = row.get(1)?.unwrap_or_default();
            Ok::<_, pgrx::spi::Error>(Some(RunState { state, leader_pid: row.get(2)? }))
        })
    };
    as_owner(read).map_err(Failure::from)
}

/// The processes of a run's workers.
///
/// # Errors
/// [`Failure`] when they cannot be read.
pub fn workers_of(run_id: i64) -> Result<Vec<i32>, Failure> {
    let sql = "select array_agg(w.pid) from lrs_extract.workers w where w.run_id = $1";
    let pids = as_owner(|| Spi::get_one_with_args::<Vec<i32>>(sql, &[run_id.into()]))?;
    Ok(pids.unwrap_or_default())
}
