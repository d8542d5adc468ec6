//! What the reader and the main thread share: the memory that may be in flight, what the reader does
//! now, and how it is stopped.

use super::connect::Canceller;
use super::error::SourceError;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(self.bytes);
        self.budget.freed.notify_all();
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

    /// Waits until `bytes` fit, or nothing else is in memory: one statement always passes.
    pub(super) fn acquire(self: &Arc<Self>, bytes: usize) -> Result<Permit, SourceError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && *used + bytes > self.limit {
            self.check_stop()?;
            self.now(Doing::Full);
            used = self
                .freed
                .wait_timeout(used, Duration::from_millis(200))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *used += bytes;
        self.now(Doing::Reading);
        Ok(Permit { budget: self.clone(), bytes })
    }

    /// What the reader is doing now.
    pub fn doing(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            0 => Doing::Connecting,
            2 => Doing::Paused,
            3 => Doing::Throttled,
            4 => Doing::Full,
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

    #[test]
    fn one_oversized_statement_passes_an_empty_budget() {
        let budget = Budget::new(10);
        let permit = budget.acquire(1_000).unwrap();
        drop(permit);
        assert_eq!(*budget.used.lock().unwrap(), 0);
    }

    #[test]
    fn a_full_budget_ends_its_wait_when_stopped() {
        let budget = Budget::new(10);
        let _held = budget.acquire(10).unwrap();
        budget.stop();
        assert!(budget.acquire(1).is_err());
    }
}
