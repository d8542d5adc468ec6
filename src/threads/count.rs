//! How many threads ask a source: one that takes a connection and then says nothing holds its thread,
//! and not too many of them may be left behind.

use super::spawn::spawn_quiet;
use crate::error::Failure;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

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
            "too many threads of this session are waiting for sources that do not respond",
        )
        .with_hint("Close this session and open a new one."));
    }
    let asking = Asking::begin();
    spawn_quiet(name, move || {
        let _asking = asking;
        f()
    })
}
