//! What differs between the server versions, and what its bindings do not give.

#![allow(unsafe_code)]

use pgrx::pg_sys;
use std::ffi::c_int;

unsafe extern "C-unwind" {
    /// The backend's handler of SIGTERM (`src/backend/tcop/postgres.c`). The bindings have it as a
    /// Rust function, which is no handler.
    #[link_name = "die"]
    fn server_die(signal: c_int);
}

/// Makes SIGTERM end this process as it ends a backend: at the next interrupt check, also inside a
/// running statement. (A worker's default only sets a flag, or exits without cleaning up.)
///
/// # Safety
/// In a background worker, before signals are unblocked.
pub unsafe fn die_on_sigterm() {
    let signal = pg_sys::SIGTERM as c_int;
    // SAFETY: the server's own handler, safe at any instruction.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        pg_sys::pqsignal(signal, Some(server_die));
    }
    // SAFETY: as above; 18 has a name of its own for the backend's.
    #[cfg(feature = "pg18")]
    unsafe {
        pg_sys::pqsignal_be(signal, Some(server_die));
    }
}
