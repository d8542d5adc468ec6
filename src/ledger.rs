//! What has been pulled, and how each run went: the tables `run`, `slice`, `batch`, `reject`.
//!
//! In: the steps of a run. Out: rows written in the transaction of the step itself, and the
//! coverage that they add up to. Every statement runs as the extension's owner with a search path
//! that nobody else can write to. Faces the server; called by `run` and `api`.

#![allow(unsafe_code)]

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

use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::{IntoDatum, pg_sys};

/// Class of the advisory locks: "lrs ".
pub const LOCK_CLASS: i32 = i32::from_be_bytes(*b"lrs ");
/// Class of the locks that workers share: "lrsw".
pub const WORKER_LOCK_CLASS: i32 = i32::from_be_bytes(*b"lrsw");

/// Runs `f` as the extension's owner, with `search_path` at `pg_catalog, pg_temp`.
///
/// When `f` throws, the surrounding transaction or subtransaction puts role and settings back.
pub fn as_owner<T>(f: impl FnOnce() -> T) -> T {
    acting_as(owner(), f)
}

/// The same as the bootstrap superuser, for the catalog of user mappings, which nobody else may
/// read whole.
pub fn as_superuser<T>(f: impl FnOnce() -> T) -> T {
    acting_as(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID), f)
}

fn acting_as<T>(actor: pg_sys::Oid, f: impl FnOnce() -> T) -> T {
    // SAFETY: role and settings are put back below, and by the abort of the transaction when an
    // error passes through.
    unsafe {
        let (mut role, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&mut role, &mut context);
        let settings = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            c"search_path".as_ptr(),
            c"pg_catalog, pg_temp".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        pg_sys::SetUserIdAndSecContext(
            actor,
            context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
        );
        let value = f();
        pg_sys::SetUserIdAndSecContext(role, context);
        pg_sys::AtEOXact_GUC(false, settings);
        value
    }
}

/// The owner of this extension. (That of its schema could be somebody else, who made it before.)
fn owner() -> pg_sys::Oid {
    // SAFETY: a catalog scan inside a transaction, its parts closed in reverse order; the tuple is
    // read while the scan holds it.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"lrs_extract".as_ptr(), false);
        let relation =
            pg_sys::table_open(pg_sys::ExtensionRelationId, pg_sys::AccessShareLock as i32);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_extension_oid as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(extension),
        );
        // 13's bindings have the number bare.
        #[allow(clippy::useless_conversion)]
        let index = pg_sys::Oid::from(pg_sys::ExtensionOidIndexId);
        let scan =
            pg_sys::systable_beginscan(relation, index, true, std::ptr::null_mut(), 1, &mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let owner = if tuple.is_null() {
            pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID)
        } else {
            (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_extension>()).extowner
        };
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        owner
    }
}

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

/// A timestamp for the server.
pub fn to_server(timestamp: DateTime<Utc>) -> Option<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(crate::source::to_wire(timestamp)).ok()
}

/// A timestamp from the server; `None` for ±infinity and what chrono cannot hold.
pub fn from_server(timestamp: TimestampWithTimeZone) -> Option<DateTime<Utc>> {
    crate::source::from_wire(timestamp.into_inner())
}
