//! Stands in for a server that distributes tables, in what a pull meets there: the SELECT of an INSERT … SELECT runs
//! without the query's environment, and with ON CONFLICT its rows are counted as inserted; a constraint's error
//! has no SQLSTATE of its own, unless the INSERT returns something. Each is switched on
//! by a setting, in the library that tests install alone.

#![allow(unsafe_code)]

use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PgTryBuilder};
use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

static APART: GucSetting<bool> = GucSetting::<bool>::new(false);
static HIDES: GucSetting<bool> = GucSetting::<bool>::new(false);

/// Adds the settings and the hooks.
pub fn register() {
    for (name, about, setting) in [
        (c"lrs_extract_test.runs_select_apart", c"INSERT … SELECT loses its environment.", &APART),
        (c"lrs_extract_test.hides_constraints", c"Constraints' errors are XX000.", &HIDES),
    ] {
        let flags = GucFlags::default();
        GucRegistry::define_bool_guc(name, about, about, setting, GucContext::Userset, flags);
    }
    // SAFETY: while the library is being loaded, on the only thread; nothing else hooks in here.
    unsafe {
        pg_sys::ExecutorStart_hook = Some(start);
        pg_sys::ExecutorRun_hook = Some(run);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: the server's own query.
    unsafe {
        if APART.get() && (*query).operation == pg_sys::CmdType::CMD_INSERT {
            (*query).queryEnv = std::ptr::null_mut();
            (*query).instrument_options |= pg_sys::InstrumentOption::INSTRUMENT_ROWS as c_int;
        }
        pg_sys::standard_ExecutorStart(query, flags);
    }
}

#[cfg(feature = "pg18")]
#[pg_guard]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: the server's own query.
    unsafe { hiding(query, || pg_sys::standard_ExecutorRun(query, direction, count)) }
}

#[cfg(not(feature = "pg18"))]
#[pg_guard]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: the server's own query.
    unsafe { hiding(query, || pg_sys::standard_ExecutorRun(query, direction, count, once)) }
}

/// # Safety
/// `query` is the server's own.
unsafe fn hiding(query: *mut pg_sys::QueryDesc, run: impl FnOnce() + std::panic::UnwindSafe) {
    // SAFETY: as promised.
    let (operation, returns) =
        unsafe { ((*query).operation, (*(*query).plannedstmt).hasReturning) };
    if operation != pg_sys::CmdType::CMD_INSERT {
        return run();
    }
    let run = || {
        run();
        // SAFETY: as promised; it has run.
        unsafe { miscount(query) };
    };
    if returns || !HIDES.get() {
        return run();
    }
    PgTryBuilder::new(run)
        .catch_others(|error| match error {
            CaughtError::PostgresError(ref report)
                if (report.sql_error_code() as i32) & 0xfff
                    == (PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION as i32) & 0xfff =>
            {
                let message = report.message().to_owned();
                ereport!(ERROR, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message);
            }
            other => other.rethrow(),
        })
        .execute();
}

/// Counts all rows that an INSERT … ON CONFLICT has read.
///
/// # Safety
/// `query` is the server's own, and has run.
unsafe fn miscount(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as promised; the node's tag says what it is.
    unsafe {
        let state = (*query).planstate;
        if !APART.get() || (*state).type_ != pg_sys::NodeTag::T_ModifyTableState {
            return;
        }
        let plan = (*state).plan.cast::<pg_sys::ModifyTable>();
        if (*plan).onConflictAction != pg_sys::OnConflictAction::ONCONFLICT_NOTHING {
            return;
        }
        #[cfg(feature = "pg13")]
        let read = *(*state.cast::<pg_sys::ModifyTableState>()).mt_plans;
        #[cfg(not(feature = "pg13"))]
        let read = (*state).lefttree;
        if let Some(rows) = (*read).instrument.as_ref() {
            (*(*query).estate).es_processed = (rows.tuplecount + rows.ntuples) as u64;
        }
    }
}

/// How often the hook of [`load_another_library`] was called.
pub static CALLS: AtomicUsize = AtomicUsize::new(0);

static mut BENEATH: pg_sys::set_rel_pathlist_hook_type = None;

/// A library that puts a hook of the planner above the one that it finds, and calls that; loaded once.
pub fn load_another_library() {
    // SAFETY: on the only thread.
    unsafe {
        if CALLS.load(Ordering::Relaxed) == 0 {
            CALLS.store(1, Ordering::Relaxed);
            BENEATH = pg_sys::set_rel_pathlist_hook;
            pg_sys::set_rel_pathlist_hook = Some(plan);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn plan(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the planner's own, passed on.
    unsafe {
        if let Some(hook) = BENEATH {
            hook(root, rel, index, entry);
        }
    }
}
