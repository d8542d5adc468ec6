//! What has been pulled, and how each run went: the tables `run`, `heap_scan`, `slice`, `batch`,
//! `reject`.
//!
//! In: the steps of a run. Out: rows written in the transaction of the step itself, and the
//! coverage that they add up to. Every statement runs as the extension's owner with a search path
//! that no other role can write to. Called by `api`, `pull`, `maintenance`, `verify`, `plan` and `pool`.

mod batch;
mod difference;
mod heap_scan;
mod lock;
mod max_rejects;
mod pipeline;
mod reject;
mod rejects_compared;
mod report;
mod route;
mod run;
mod slice;
mod stage;

pub use batch::{Batch, last_loaded, record_batch, record_commit_times};
pub use difference::{RangeDifference, record_difference};
pub use heap_scan::{
    UnfinishedScan, close_scan, met_new_versions, next_scan_id, note_new_versions, unfinished_scans,
};
#[cfg(any(test, feature = "pg_test"))]
pub use lock::LEADER_CLASS;
pub use lock::{SessionLock, lock_as_worker, lock_pipeline, waits_for};
pub use max_rejects::MaxRejects;
pub use pipeline::{Pipeline, PipelineVersion, SourceLimits, WalkMode};
pub use reject::{
    RejectQueue, SetAside, StoredReject, drop_rejects, drop_rejects_at, keep_rejects,
    most_frequent_reason, record_rejects, settle_rejects, stored_rejects,
};
pub use rejects_compared::{numbered_reject_sums, reject_rows, reject_side, reject_sums};
pub use report::facts;
pub use route::{Endpoints, Route, Sibling, routes, siblings};
pub use run::{
    AnnouncedRun, NewRun, RunState, announce_run, close_run, next_run_id, open_run, run_state,
    workers_of,
};
pub use slice::{
    claim_slice, close_slice, covered, forget, reclaim_slice, record_retry, release_slice,
};
