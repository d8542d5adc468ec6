//! What has been pulled, and how each run went: the tables `run`, `slice`, `batch`, `reject`.
//!
//! In: the steps of a run. Out: rows written in the transaction of the step itself, and the
//! coverage that they add up to. Every statement runs as the extension's owner with a search path
//! that nobody else can write to. Faces the server; called by `run` and `api`.

mod book;
mod coverage;
mod pipeline;
mod reject;
mod replay;
mod report;
mod run;
mod stage;

pub use book::{
    BatchEntry, claim_slice, close_slice, note_commit_times, note_retry, record_batch,
    record_rejects,
};
pub use coverage::{covered, forget};
pub use pipeline::{Care, Pipeline, Standing};
pub use reject::rejected;
pub use replay::{Reason, RejectQueue, StoredReject, drop_rejects, keep_rejects};
pub use report::facts;
pub use run::{Holder, NewRun, close_run, holder, lock_as_worker, open_run};

use pgrx::datum::TimestampWithTimeZone;
use pgrx::{IntoDatum, pg_sys};

/// Class of the advisory locks: "lrs ".
pub const LOCK_CLASS: i32 = i32::from_be_bytes(*b"lrs ");
/// Class of the locks that workers share: "lrsw".
pub const WORKER_LOCK_CLASS: i32 = i32::from_be_bytes(*b"lrsw");

/// A pipeline and a period, as the arguments $1 to $3 of a query.
fn period_arguments(
    pipeline: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
) -> [(pg_sys::Oid, pg_sys::Datum); 3] {
    let timestamp =
        |t: TimestampWithTimeZone| (pg_sys::TIMESTAMPTZOID, pg_sys::Datum::from(t.into_inner()));
    let name = pipeline.into_datum().unwrap_or(pg_sys::Datum::from(0));
    [(pg_sys::TEXTOID, name), timestamp(from), timestamp(to)]
}
