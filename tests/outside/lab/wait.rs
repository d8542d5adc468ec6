//! Waiting for a condition, never for a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Returns when `condition` holds; panics with `what` when it does not hold within `limit`.
pub fn await_that(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    await_some(what, limit, || condition().then_some(()));
}

/// Returns the value that `probe` finds; panics with `what` when it finds none within `limit`.
pub fn await_some<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(15));
    }
}
