//! The table `heap_scan`: partitions read block by block, until all of their blocks are read.

#![allow(unsafe_code)]

use super::slice::{columns, edge};
use crate::backend::query::{Row, select_now, text_argument};
use crate::backend::role::as_owner;
use crate::backend::time::Period;
use crate::error::Failure;
use crate::slice::{Heap, HeapScan, Interval};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use std::ffi::CStr;

/// A scan that some run began, and no run has ended.
#[derive(Clone, Debug)]
pub struct UnfinishedScan {
    pub scan: HeapScan,
    /// The run that began it.
    pub run_id: i64,
    /// Ranges of blocks that are read and committed, by their first; each ends before its second.
    pub done: Vec<(u32, u32)>,
}

impl UnfinishedScan {
    /// The refusal of a call that would leave it half done.
    pub fn half_read(&self) -> Failure {
        let partition = &self.scan.partition;
        Failure::new(
            "55000",
            format!("the heap of {partition} is half read by run {}", self.run_id),
        )
    }
}

/// A number for a new scan.
///
/// # Errors
/// [`Failure`] when the sequence gives none.
pub fn next_scan_id() -> Result<i64, Failure> {
    as_owner(|| Spi::get_one::<i64>("select nextval('lrs_extract.heap_scan_id_seq')"))?
        .ok_or_else(|| Failure::internal("no number for the scan"))
}

/// Writes a scan, unless an earlier run has.
pub(super) fn open(run_id: i64, pipeline: &str, scan: &HeapScan) -> Result<(), pgrx::spi::Error> {
    let (from, from_actor) = columns(scan.interval.from);
    let (to, to_actor) = columns(scan.interval.to);
    Spi::run_with_args(
        include_str!("../../sql/ledger/open_scan.sql"),
        &[
            scan.scan_id.into(),
            pipeline.into(),
            run_id.into(),
            scan.partition.as_str().into(),
            from.into(),
            from_actor.into(),
            to.into(),
            to_actor.into(),
            pg_sys::Oid::from(scan.heap.relation).into(),
            pg_sys::Oid::from(scan.heap.filenode).into(),
            scan.heap.horizon.into(),
            scan.heap.updates.as_deref().into(),
        ],
    )
}

/// Writes that the scan has come to its end.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn close_scan(scan_id: i64) -> Result<(), Failure> {
    let sql = include_str!("../../sql/ledger/close_scan.sql");
    as_owner(|| Spi::run_with_args(sql, &[scan_id.into()])).map_err(Failure::from)
}

/// Writes that the scan met so many row versions that are newer than it is.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn note_new_versions(scan_id: i64, versions: u64) -> Result<(), Failure> {
    let sql = include_str!("../../sql/ledger/note_new_versions.sql");
    let versions = i64::try_from(versions).unwrap_or(i64::MAX);
    as_owner(|| Spi::run_with_args(sql, &[scan_id.into(), versions.into()])).map_err(Failure::from)
}

/// Whether any slice of the scan met such.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn met_new_versions(scan_id: i64) -> Result<bool, Failure> {
    let sql = "select exists (select from lrs_extract.heap_scan h where h.scan_id = $1 and h.new_versions > 0)";
    let met = as_owner(|| Spi::get_one_with_args::<bool>(sql, &[scan_id.into()]))?;
    Ok(met.unwrap_or(true))
}

/// The scans of the pipeline that are not done and reach into `period`, as they are now.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn unfinished_scans(pipeline_id: &str, period: Period) -> Result<Vec<UnfinishedScan>, Failure> {
    let [from, to] = period.arguments();
    let arguments = [text_argument(pipeline_id), from, to];
    let sql = include_str!("../../sql/ledger/unfinished_scans.sql");
    // SAFETY: the values are of these types; the text lives in the caller's memory context.
    let scans = as_owner(|| unsafe { select_now(sql, &arguments, |row| read(row)) })?;
    scans.into_iter().map(|scan| scan.ok_or_else(unreadable)).collect()
}

fn unreadable() -> Failure {
    Failure::internal("a row of lrs_extract.heap_scan cannot be read")
}

/// # Safety
/// The row must be one of `sql/ledger/unfinished_scans.sql`.
unsafe fn read(row: &Row) -> Option<UnfinishedScan> {
    // SAFETY: the columns of the query, in its types.
    unsafe {
        let oid = |name: &CStr| row.get::<pg_sys::Oid>(name).map(pg_sys::Oid::to_u32);
        let time = |name: &CStr| row.get::<TimestampWithTimeZone>(name);
        let from = edge(time(c"from"), row.get(c"from_actor_id"))?;
        let to = edge(time(c"to"), row.get(c"to_actor_id"))?;
        Some(UnfinishedScan {
            scan: HeapScan {
                scan_id: row.get(c"scan_id")?,
                partition: row.get(c"partition")?,
                interval: Interval::new(from, to),
                heap: Heap {
                    relation: oid(c"relation")?,
                    filenode: oid(c"filenode")?,
                    horizon: row.get(c"horizon")?,
                    updates: row.get(c"updates"),
                },
            },
            run_id: row.get(c"run_id")?,
            done: ranges(row.get(c"from_blocks"), row.get(c"to_blocks")),
        })
    }
}

type Blocks = Option<Vec<Option<i64>>>;

fn ranges(from: Blocks, to: Blocks) -> Vec<(u32, u32)> {
    let block = |number: Option<i64>| number.and_then(|n| u32::try_from(n).ok());
    from.unwrap_or_default()
        .into_iter()
        .zip(to.unwrap_or_default())
        .filter_map(|(from, to)| Some((block(from)?, block(to)?)))
        .collect()
}
