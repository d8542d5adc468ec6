//! What must happen when the process goes without unwinding: a terminate is FATAL, which runs the
//! server's exit callbacks and no destructor of ours. The source must not go on with a page that
//! nobody reads.

#![allow(unsafe_code)]

use super::spawn::spawn_quiet;
use crate::source::{Budget, Canceller};
use pgrx::{pg_guard, pg_sys};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What runs on the source and can be stopped: a walk, a call.
pub trait Stoppable: Send + Sync {
    /// Sees to it that no further statement begins; returns the means to cancel the one under way.
    fn stop(&self) -> Option<Canceller>;
}

impl Stoppable for Budget {
    fn stop(&self) -> Option<Canceller> {
        Budget::stop(self)
    }
}

/// What is under way in this process.
static LIVE: Mutex<Vec<Weak<dyn Stoppable>>> = Mutex::new(Vec::new());
static REGISTERED: Once = Once::new();

/// How long the process waits for its cancels to reach the source.
pub const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);

/// Sees to it that `work` is stopped should the process exit before it ends.
pub fn stop_at_exit<T: Stoppable + 'static>(work: &Arc<T>) {
    REGISTERED.call_once(|| {
        // SAFETY: a callback for the whole life of the process, with no argument.
        unsafe { pg_sys::before_shmem_exit(Some(stop_all), pg_sys::Datum::from(0)) }
    });
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.retain(|work| work.strong_count() > 0);
    let work: Weak<T> = Arc::downgrade(work);
    live.push(work);
}

#[pg_guard]
unsafe extern "C-unwind" fn stop_all(_code: i32, _argument: pg_sys::Datum) {
    let live = std::mem::take(&mut *LIVE.lock().unwrap_or_else(PoisonError::into_inner));
    let cancellers: Vec<Canceller> =
        live.iter().filter_map(Weak::upgrade).filter_map(|work| work.stop()).collect();
    cancel(cancellers, CANCEL_TIMEOUT);
}

/// Sends the cancels, each from a thread of its own, and waits for them no longer than `timeout`:
/// a cancel is a connection, which may hang as any other.
pub fn cancel(cancellers: Vec<Canceller>, timeout: Duration) {
    let threads: Vec<_> = cancellers
        .into_iter()
        .filter_map(|canceller| spawn_quiet("lrs cancel", move || canceller.cancel()).ok())
        .collect();
    let deadline = Instant::now() + timeout;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}
