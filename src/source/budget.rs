//! What the reader and the main thread share: the memory that may be in flight, what the reader does
//! now, and how it is stopped.

use super::connect::Canceller;
use super::error::{SourceError, Trouble};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the reader is doing, as the worker shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Doing {
    Connecting = 0,
    Reading = 1,
    Paused = 2,
    Throttled = 3,
    /// Waiting for memory: the stage is slower than the source.
    Full = 4,
    /// Asking whether the pause is over.
    Asking = 5,
}

/// Bytes that may be in memory between the reader and the end of the load.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: Mutex<usize>,
    freed: Condvar,
    stop: AtomicBool,
    doing: AtomicU8,
    /// Microseconds that the reader was held back on purpose: paused, or by the rate limit.
    held_back: AtomicU64,
    canceller: Mutex<Option<Canceller>>,
}

/// A share of the [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Room for the rows of a page that was asked for; what of it is not needed is given back.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    left: usize,
}

impl Reservation {
    /// The permit for `bytes` that came. Where more came than was thought, waits for the rest until
    /// it is free, or nothing but this page is in memory: one statement always passes.
    ///
    /// # Errors
    /// [`Trouble::StatementTimeout`] after `longest_stall`: meanwhile the source cannot finish its
    /// statement, so it is let go, and asked for a smaller page. Or when the reader is stopped.
    pub fn take(&mut self, bytes: usize, longest_stall: Duration) -> Result<Permit, SourceError> {
        let more = bytes.saturating_sub(self.left);
        let budget = &self.budget;
        let mut used = budget.used();
        let begun = Instant::now();
        while more > 0 && *used > self.left && *used + more > budget.limit {
            if begun.elapsed() > longest_stall {
                return Err(too_large(longest_stall));
            }
            used = budget.wait(used)?;
        }
        *used += more;
        drop(used);
        self.left -= bytes - more;
        budget.now(Doing::Reading);
        Ok(Permit { budget: budget.clone(), bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.left);
    }
}

fn too_large(longest_stall: Duration) -> SourceError {
    SourceError {
        trouble: Trouble::StatementTimeout,
        ..SourceError::permanent(
            "read a page of the source",
            "57014",
            format!(
                "the page was larger than expected, and the stage had no room for the rest within {} ms",
                longest_stall.as_millis()
            ),
        )
    }
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Budget {
            limit,
            used: Mutex::new(0),
            freed: Condvar::new(),
            stop: AtomicBool::new(false),
            doing: AtomicU8::new(Doing::Connecting as u8),
            held_back: AtomicU64::new(0),
            canceller: Mutex::new(None),
        })
    }

    /// What a page may come to: half, so that one is loaded while the next is read.
    pub(super) fn page(&self) -> usize {
        self.limit / 2
    }

    /// Waits until `bytes` are free, or nothing is in memory, and keeps them for a page. The source
    /// has no statement under way meanwhile, so this may take as long as it does.
    ///
    /// # Errors
    /// When the reader is stopped.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation, SourceError> {
        let mut used = self.used();
        while *used > 0 && *used + bytes > self.limit {
            used = self.wait(used)?;
        }
        *used += bytes;
        self.now(Doing::Reading);
        Ok(Reservation { budget: self.clone(), left: bytes })
    }

    fn used(&self) -> MutexGuard<'_, usize> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was given back, or a while.
    fn wait<'a>(&self, used: MutexGuard<'a, usize>) -> Result<MutexGuard<'a, usize>, SourceError> {
        self.check_stop()?;
        self.now(Doing::Full);
        let waited = self.freed.wait_timeout(used, Duration::from_millis(200));
        Ok(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn give_back(&self, bytes: usize) {
        let mut used = self.used();
        *used = used.saturating_sub(bytes);
        self.freed.notify_all();
    }

    /// What the reader is doing now.
    pub fn doing(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            0 => Doing::Connecting,
            2 => Doing::Paused,
            3 => Doing::Throttled,
            4 => Doing::Full,
            5 => Doing::Asking,
            _ => Doing::Reading,
        }
    }

    pub(super) fn now(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    /// Keeps what cancels the statements of the reader's session, while it has one.
    pub(super) fn hold_canceller(&self, canceller: Option<Canceller>) {
        *self.canceller.lock().unwrap_or_else(PoisonError::into_inner) = canceller;
    }

    /// Asks the reader to end: it stops waiting at once; the statement it runs on the source is
    /// cancelled by the [`Canceller`] that this returns.
    pub fn stop(&self) -> Option<Canceller> {
        self.stop.store(true, Ordering::SeqCst);
        self.freed.notify_all();
        self.canceller.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn check_stop(&self) -> Result<(), SourceError> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(SourceError::permanent("read the source", "57014", "stopped"));
        }
        Ok(())
    }

    /// How long the reader was held back on purpose so far: paused, or by the rate limit.
    pub fn held_back(&self) -> Duration {
        Duration::from_micros(self.held_back.load(Ordering::Relaxed))
    }

    /// Waits for that time, unless stopped.
    pub(super) fn idle(&self, time: Duration) -> Result<(), SourceError> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.check_stop()?;
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
        self.check_stop()
    }

    /// Holds the reader back for that time, unless stopped; less when it is `over` before.
    pub(super) fn sleep(&self, time: Duration, over: impl Fn() -> bool) -> Result<(), SourceError> {
        let begun = Instant::now();
        let mut now = begun;
        while let Some(left) = time.checked_sub(now - begun)
            && !left.is_zero()
            && !over()
        {
            self.check_stop()?;
            // Short, so that a reader of `held_back` is never far behind.
            std::thread::sleep(left.min(Duration::from_millis(20)));
            let before = std::mem::replace(&mut now, Instant::now());
            let slept = u64::try_from((now - before).as_micros()).unwrap_or(0);
            self.held_back.fetch_add(slept, Ordering::Relaxed);
        }
        self.check_stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST_STALL: Duration = Duration::from_millis(50);

    #[test]
    fn one_oversized_statement_passes_an_empty_budget() {
        let budget = Budget::new(10);
        let mut page = budget.reserve(5).unwrap();
        let permit = page.take(1_000, LONGEST_STALL).unwrap();
        drop((page, permit));
        assert_eq!(*budget.used(), 0);
    }

    #[test]
    fn a_page_takes_no_more_than_was_reserved_while_others_hold_the_rest() {
        let budget = Budget::new(10);
        let held = budget.reserve(5).unwrap();
        let mut page = budget.reserve(5).unwrap();
        let permit = page.take(4, LONGEST_STALL).unwrap();
        assert_eq!(page.take(2, LONGEST_STALL).unwrap_err().trouble, Trouble::StatementTimeout);
        assert_eq!(*budget.used(), 10);
        drop(held);
        page.take(2, LONGEST_STALL).unwrap();
        drop((page, permit));
        assert_eq!(*budget.used(), 0);
    }

    #[test]
    fn a_full_budget_ends_its_wait_when_stopped() {
        let budget = Budget::new(10);
        let _held = budget.reserve(10).unwrap();
        budget.stop();
        assert!(budget.reserve(1).is_err());
    }
}
