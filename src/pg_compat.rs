//! What differs between the server versions, and what its bindings do not give.

#![allow(unsafe_code)]

use pgrx::PgLogLevel;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C-unwind" {
    /// The backend's handler of SIGTERM (`src/backend/tcop/postgres.c`). The bindings have it as a
    /// Rust function, which is no handler.
    #[link_name = "die"]
    fn server_die(signal: c_int);

    /// The same of SIGINT.
    #[link_name = "StatementCancelHandler"]
    fn server_cancel(signal: c_int);

    /// Reads the pipe that every child of the postmaster has (`src/include/storage/pmsignal.h`).
    fn PostmasterIsAliveInternal() -> bool;

    /// How this process talks to its client (`src/include/libpq/libpq.h`).
    static PqCommMethods: *const ClientMethods;
}

/// The first of the functions in `PQcommMethods`, the same in all versions.
#[repr(C)]
struct ClientMethods {
    _comm_reset: unsafe extern "C-unwind" fn(),
    _flush: unsafe extern "C-unwind" fn() -> c_int,
    flush_if_writable: unsafe extern "C-unwind" fn() -> c_int,
}

/// Sends the client what is ready for it, as far as its socket takes it now; never waits.
///
/// The server itself sends rows by 8 kB or at the statement's end, which is too late for one that
/// reports the progress of a long call.
pub fn flush_to_client() {
    // SAFETY: on the main thread, between two messages. Without a client there is nothing in the
    // buffer, and the function returns; a client that is gone is found at the next interrupt check.
    unsafe {
        if !pg_sys::MyProcPort.is_null() && !PqCommMethods.is_null() {
            ((*PqCommMethods).flush_if_writable)();
        }
    }
}

/// Ends this process where the postmaster is gone, as a wait on the latch does: it must write nothing
/// more.
pub fn exit_with_postmaster() {
    // SAFETY: no transaction is committed on the way out.
    unsafe {
        if !PostmasterIsAliveInternal() {
            pg_sys::proc_exit(1);
        }
    }
}

/// Emits a report below ERROR. When it is sent, the server looks for interrupts, and throws. The
/// binding lets that pass over Rust's frames without a drop in them, so it is caught here.
pub fn report(report: ErrorReport, level: PgLogLevel) {
    // SAFETY: on the main thread. The server throws when it has copied the report, and nothing in here
    // is left to be dropped.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| report.report(level)) }
}

/// The settings that there are, those of no library included.
pub fn guc_variables() -> impl Iterator<Item = *const pg_sys::config_generic> {
    // SAFETY: the server's list, and its length; on the main thread.
    #[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15"))]
    let (first, count) = unsafe { (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions()) };
    #[cfg(not(any(feature = "pg13", feature = "pg14", feature = "pg15")))]
    let (first, count) = {
        let mut count: c_int = 0;
        // SAFETY: as above.
        (unsafe { pg_sys::get_guc_variables(&mut count) }, count)
    };
    // SAFETY: as many pointers lie there.
    (0..usize::try_from(count).unwrap_or(0)).map(move |n| unsafe { *first.add(n) }.cast_const())
}

/// Errors of this library carry no backtrace in their DETAIL, whatever the server's environment says:
/// users read it.
pub fn keep_backtraces_out_of_errors() {
    // SAFETY: while the library is being loaded, on the only thread.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
}

/// Whether this process got a SIGINT that was meant to cancel it.
static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Whether this worker was cancelled: a 57014 may also be the source's.
pub fn was_cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

/// The SIGINT was a lock timeout: the server sends itself one, and has thrown 55P03 by now.
pub fn was_lock_timeout() {
    CANCELLED.store(false, Ordering::Relaxed);
}

unsafe extern "C-unwind" fn cancel(signal: c_int) {
    CANCELLED.store(true, Ordering::Relaxed);
    // SAFETY: the server's own handler, in the place of which this one is.
    unsafe { server_cancel(signal) }
}

/// Makes SIGTERM end this process as it ends a backend: at the next interrupt check, also inside a
/// running statement. (A worker's default only sets a flag, or exits without cleaning up.) A SIGINT
/// is remembered, see [`was_cancelled`].
///
/// # Safety
/// In a background worker, before signals are unblocked.
pub unsafe fn handle_signals() {
    // SAFETY: the server's own handlers, safe at any instruction, as is a flag.
    unsafe {
        set_handler(pg_sys::SIGTERM, server_die);
        set_handler(pg_sys::SIGINT, cancel);
    }
}

/// # Safety
/// The handler must be safe at any instruction.
unsafe fn set_handler(signal: u32, handler: unsafe extern "C-unwind" fn(c_int)) {
    // SAFETY: as promised.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        pg_sys::pqsignal(signal as c_int, Some(handler));
    }
    // SAFETY: as above; 18 has a name of its own for the backend's.
    #[cfg(feature = "pg18")]
    unsafe {
        pg_sys::pqsignal_be(signal as c_int, Some(handler));
    }
}

/// The major version that this library is built for.
pub const SERVER_MAJOR: u32 = pg_sys::PG_VERSION_NUM / 10_000;

/// How a column is compressed that leaves it to `default_toast_compression`: 'p' or 'l'.
pub fn default_compression() -> char {
    let name = c"default_toast_compression".as_ptr();
    // SAFETY: reads a setting; 13, which knows pglz alone, has none of that name and gives null.
    let value = unsafe { pg_sys::GetConfigOption(name, true, false) };
    if value.is_null() {
        return 'p';
    }
    // SAFETY: a string of the server, not kept.
    match unsafe { std::ffi::CStr::from_ptr(value) }.to_bytes() {
        b"lz4" => 'l',
        _ => 'p',
    }
}

/// Reserves the settings `prefix.*`. From 15 on the server refuses other names under it. Before, it only
/// warns of those that are set at the time of the call.
pub fn reserve_setting_prefix(prefix: &std::ffi::CStr) {
    // SAFETY: on the main thread; only reads the table of settings, and may emit WARNINGs.
    #[cfg(any(feature = "pg13", feature = "pg14"))]
    unsafe {
        pg_sys::EmitWarningsOnPlaceholders(prefix.as_ptr());
    }
    // SAFETY: called once, while the library is loaded; the server copies the name.
    #[cfg(not(any(feature = "pg13", feature = "pg14")))]
    unsafe {
        pg_sys::MarkGUCPrefixReserved(prefix.as_ptr());
    }
}
