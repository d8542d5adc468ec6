//! Threads beside the backend's own. They never call the server, and no signal reaches them: a
//! handler of the server must run on the main thread.

#![allow(unsafe_code)]

use crate::error::Failure;
use crate::transform::STACK_BYTES;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Threads that ask a source and have not ended.
static ASKING: AtomicUsize = AtomicUsize::new(0);
/// A source that takes a connection and then says nothing holds the thread that asked it for as long
/// as the connection stands, and its descriptors. No call needs nearly as many as this.
const MOST_ASKING: usize = 64;

/// Counts a thread that asks for as long as it runs.
struct Asking;

impl Asking {
    fn begin() -> Asking {
        ASKING.fetch_add(1, Ordering::SeqCst);
        Asking
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// [`spawn_quiet`] for a thread that asks the source, of which not too many may be left behind.
///
/// # Errors
/// 53000 when there are, or the system has no thread left.
pub fn spawn_asking<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    if ASKING.load(Ordering::SeqCst) >= MOST_ASKING {
        return Err(Failure::new(
            "53000",
            "too many threads of this session wait for sources that say nothing",
        )
        .with_hint("Close this session; the next one begins anew."));
    }
    let asking = Asking::begin();
    spawn_quiet(name, move || {
        let _asking = asking;
        f()
    })
}
