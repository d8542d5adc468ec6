//! Threads beside the backend's own. They never call the server, and no signal reaches them: a
//! handler of the server must run on the main thread.

#![allow(unsafe_code)]

use crate::error::Failure;
use crate::transform::STACK_BYTES;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that has every signal blocked from its first instruction on.
///
/// # Errors
/// 53000 when the system has no thread left.
pub fn spawn_quiet<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    // SAFETY: plain libc calls on local values. A new thread inherits the mask of the one that
    // starts it, which gets its own back right after.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let builder = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let started = builder.spawn(f);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        started.map_err(|e| {
            Failure::new("53000", format!("could not start a thread: {e}"))
                .with_hint("Raise the system's limit of threads, or call pull with fewer jobs.")
        })
    }
}
