//! A call of `pull`: its arguments, and all that a worker needs to know of it.

use super::comparing::{Comparing, Method, compared_slices};
use crate::backend::role;
use crate::backend::time::Period;
use crate::error::Failure;
use crate::ledger::{MaxRejects, NewRun, SourceLimits, next_run_id, next_scan_id};
use crate::load::{Identity, OnConflict, Target};
use crate::plan::{Covered, PlannedWalk, Survey, Walk};
use crate::pool::Caller;
use crate::settings;
use crate::slice::{HeapScan, Slice, share_out, spread};
use crate::source::{BatchSize, ConnectSpec, WalkTable};
use crate::transform::BoundMapping;
use chrono::{DateTime, Utc};
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

/// Where the boundaries of the commits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitMode {
    Batch,
    Slice,
    /// In the caller's own transaction.
    Caller,
}

impl CommitMode {
    /// Reads the argument `commit` of `pull`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "batch" => Some(CommitMode::Batch),
            "slice" => Some(CommitMode::Slice),
            "caller" => Some(CommitMode::Caller),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            CommitMode::Batch => "batch",
            CommitMode::Slice => "slice",
            CommitMode::Caller => "caller",
        }
    }
}

/// The arguments of `pull`, checked.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub period: Period,
    pub batch: BatchSize,
    pub pipeline: String,
    pub jobs: i32,
    pub commit: CommitMode,
    pub again: bool,
    /// Of a repair, how it is done; `None`: a pull.
    pub repair: Option<Method>,
}

/// A call of `pull` or `repair`, checked and planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullRequest {
    pub run_id: i64,
    /// Whether it is a repair, of which all slices are compared.
    pub is_repair: bool,
    pub pipeline: String,
    pub pipeline_id: String,
    /// The period after clipping.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub batch: BatchSize,
    pub jobs: i32,
    pub commit: CommitMode,
    pub again: bool,
    /// The caller's role, by name.
    pub caller_name: String,
    pub caller: Caller,
    pub connect: ConnectSpec,
    pub table: WalkTable,
    pub target: Target,
    /// The source's names in the pipeline, and its table's identity.
    pub server: String,
    pub source_table: String,
    pub source_id: Option<String>,
    pub mapping: BoundMapping,
    /// By what the target knows rows again; there whenever a heap is scanned.
    pub identity: Option<Identity>,
    pub on_conflict: OnConflict,
    pub max_rejects: MaxRejects,
    /// By what slices are compared, where some are.
    pub comparing: Option<Comparing>,
    pub slices: Vec<Slice>,
    /// The scans that slices of heaps belong to.
    pub scans: Vec<HeapScan>,
    /// How the source was treated when the run began.
    pub source_limits: SourceLimits,
    /// What of the pipeline must not change until the run ends; see [`crate::ledger::Pipeline`].
    pub definition: Option<String>,
    pub worker_memory: usize,
    pub transform_threads: usize,
}

/// What the ledger calls a run.
pub fn kind(is_repair: bool) -> &'static str {
    if is_repair { "repair" } else { "pull" }
}

/// With fewer slices than this for each worker, one would often wait for the other at the end.
const SLICES_A_WORKER: usize = 2;

impl PullRequest {
    /// What a call with `arguments` pulls of a period that was surveyed, and compares of what is `covered`; with
    /// `run_id`, of a run that was announced.
    ///
    /// # Errors
    /// [`Failure`] when the ledger gives no number for the run, or the caller may start no worker.
    pub fn new(
        arguments: &Arguments,
        survey: Survey,
        covered: Option<Covered>,
        run_id: Option<i64>,
    ) -> Result<PullRequest, Failure> {
        if arguments.commit != CommitMode::Caller {
            survey.target.check_seen_by_workers()?;
        }
        let method = arguments.repair.unwrap_or_default();
        let run_id = match run_id {
            Some(run_id) => run_id,
            None if method.dry_run => 0,
            None => next_run_id()?,
        };
        let comparing = match &covered {
            Some(covered) => Some(Comparing::new(&survey, covered, method, run_id)?),
            None => None,
        };
        let (mut slices, scans) = slices(survey.walks, arguments)?;
        let compared = covered.map(|covered| compared_slices(covered, method));
        slices.extend(compared.into_iter().flatten());
        for (slice, slice_no) in slices.iter_mut().zip(1..) {
            slice.slice_no = slice_no;
        }
        let pipeline = survey.pipeline;
        let jobs = usize::try_from(arguments.jobs).unwrap_or(1);
        Ok(PullRequest {
            run_id,
            is_repair: arguments.repair.is_some(),
            pipeline: pipeline.name,
            pipeline_id: pipeline.id,
            from: survey.from,
            to: survey.to,
            batch: arguments.batch,
            jobs: arguments.jobs,
            commit: arguments.commit,
            again: arguments.again,
            caller_name: role::current_role_name()?,
            caller: Caller::of_this_session()?,
            connect: survey.connect,
            table: survey.table,
            target: survey.target,
            server: pipeline.server,
            source_table: pipeline.source_table,
            source_id: survey.source_id,
            mapping: survey.mapping,
            identity: survey.identity,
            on_conflict: pipeline.on_conflict,
            max_rejects: pipeline.max_rejects,
            comparing,
            slices,
            scans,
            source_limits: pipeline.source_limits,
            definition: pipeline.definition,
            worker_memory: settings::worker_memory(),
            transform_threads: settings::transform_threads(jobs),
        })
    }

    /// Whether nothing is written.
    pub fn is_dry_run(&self) -> bool {
        self.comparing.as_ref().is_some_and(|comparing| comparing.method.dry_run)
    }

    /// The slice of that number.
    pub fn slice(&self, slice_no: i32) -> Option<&Slice> {
        self.slices.iter().find(|s| s.slice_no == slice_no)
    }

    /// The scan of that number.
    pub fn scan(&self, scan_id: i64) -> Option<&HeapScan> {
        self.scans.iter().find(|scan| scan.scan_id == scan_id)
    }

    /// How a worker's session on the source is named.
    pub fn application_name(&self, worker: i32) -> String {
        self.connect.session_name(&format!("run={} worker={worker}", self.run_id))
    }

    /// The run as the ledger opens it.
    pub fn new_run(&self, leader_pid: i32) -> NewRun<'_> {
        NewRun {
            run_id: self.run_id,
            kind: kind(self.is_repair),
            pipeline: &self.pipeline,
            pipeline_id: &self.pipeline_id,
            from: self.from,
            to: self.to,
            batch_size: self.batch,
            jobs: self.jobs,
            commit_mode: self.commit.as_str(),
            again: self.again,
            caller: &self.caller_name,
            leader_pid,
            target: &self.target.sql_name,
            target_oid: pg_sys::Oid::from(self.target.oid),
            server: &self.server,
            source_table: &self.source_table,
            source_id: self.source_id.as_deref(),
            slices: &self.slices,
            scans: &self.scans,
        }
    }
}

/// The slices to pull, cut further where there would be too few for all workers, and the scans that
/// those of heaps belong to.
fn slices(
    walks: Vec<PlannedWalk>,
    arguments: &Arguments,
) -> Result<(Vec<Slice>, Vec<HeapScan>), Failure> {
    let jobs = u32::try_from(arguments.jobs).unwrap_or(1);
    let (mut slices, mut scans) = (Vec::new(), Vec::new());
    for walk in walks {
        let whole = Slice {
            slice_no: 0,
            partition: walk.partition,
            interval: walk.interval,
            blocks: None,
            in_windows: matches!(walk.walk, Walk::Window),
            compared: false,
            estimated_rows: walk.estimated_rows,
            warning: walk.warning,
            walk: walk.reason,
        };
        let Walk::Heap { scan_id, heap, blocks, done } = walk.walk else {
            slices.push(whole);
            continue;
        };
        let scan_id = match scan_id {
            Some(scan_id) => scan_id,
            None => next_scan_id()?,
        };
        for part in share_out(scan_id, blocks, &done, jobs) {
            let share = part.to.map_or(0, |to| to - part.from);
            let estimated_rows = whole.estimated_rows * i64::from(share) / i64::from(blocks.max(1));
            slices.push(Slice { blocks: Some(part), estimated_rows, ..whole.clone() });
        }
        let Slice { partition, interval, .. } = whole;
        scans.push(HeapScan { scan_id, partition, interval, heap });
    }
    let wanted = match arguments.jobs {
        1 => 1,
        jobs => usize::try_from(jobs).unwrap_or(1) * SLICES_A_WORKER,
    };
    let worthwhile = i64::try_from(arguments.batch.rows()).unwrap_or(i64::MAX);
    Ok((spread(slices, wanted, worthwhile), scans))
}
