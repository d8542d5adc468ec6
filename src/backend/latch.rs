//! Waiting on the main thread: always on the latch, always interruptible.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::{check_for_interrupts, pg_sys};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// How long the main thread sleeps at most before it looks for a reason to stop: an interrupt, a
/// client that is gone, a word of the leader.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Wakes one thread from another. The main one is woken by it too: a latch must not be set from a
/// thread of ours, a file descriptor may be written to.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn new() -> Result<Waker, Failure> {
        eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map(|fd| Waker(Arc::new(fd)))
            .map_err(|e| {
                Failure::new("53000", format!("could not make an eventfd: {e}"))
                    .with_hint("Raise the system's limit of open files.")
            })
    }

    /// Wakes the thread that waits.
    pub fn wake(&self) {
        // It fails only when the counter is full, and then the thread is awake anyway.
        let _ = rustix::io::write(self.0.as_fd(), &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        let _ = rustix::io::read(self.0.as_fd(), &mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until the latch is set, the waker is woken or `timeout` is over, then lets interrupts in
/// (a cancel or a terminate leaves this function as an error).
pub fn wait(waker: Option<&Waker>, timeout: Duration) {
    let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).max(1);
    let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let mut socket = pg_sys::PGINVALID_SOCKET;
    if let Some(waker) = waker {
        events |= pg_sys::WL_SOCKET_READABLE;
        socket = waker.0.as_raw_fd();
    }
    // SAFETY: MyLatch is the backend's own latch; the descriptor is open as long as the waker.
    unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            socket,
            millis,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    if let Some(waker) = waker {
        waker.clear();
    }
    check_for_interrupts!();
}
