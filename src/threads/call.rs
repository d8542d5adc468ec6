//! Short calls to the source, made in a thread while the main thread stays interruptible.

use super::cancel::{CANCEL_TIMEOUT, Stoppable, cancel, stop_at_exit};
use super::count::spawn_asking;
use super::retry::RetryPolicy;
use crate::backend::client;
use crate::backend::latch::{self, POLL_INTERVAL, Waker};
use crate::error::{Failure, notice};
use crate::source::{Canceller, ConnectSpec, Parking, Session, SourceError};
use chrono::{DateTime, Utc};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Waits before the source is asked again after `error`.
pub fn wait_out(error: &SourceError, delay: Duration) {
    notice(&format!("{error}; trying again in {} ms", delay.as_millis()));
    stand_by(delay);
}

/// Waits in the caller's backend, for as long as its client is there.
pub fn stand_by(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        latch::wait(None, left.min(POLL_INTERVAL));
        client::check_client();
    }
}

/// Calls to the source, one after the other, in one session as long as it lasts.
pub struct SourceClient {
    connect: ConnectSpec,
    /// How the session is named on the source.
    name: String,
    /// The session between two calls.
    parking: Parking,
}

impl SourceClient {
    pub fn new(connect: &ConnectSpec, purpose: &str) -> Self {
        SourceClient {
            connect: connect.clone(),
            name: connect.session_name(purpose),
            parking: Parking::default(),
        }
    }

    /// Has every session that is opened from now on show what was committed before `until`, as the
    /// source did when it was asked first; see [`ConnectSpec::committed_until`].
    pub fn relying_on(mut self, until: Option<DateTime<Utc>>) -> Self {
        self.connect.committed_until = until;
        self
    }

    /// Calls `f` with a session, and again after trouble that may pass.
    ///
    /// # Errors
    /// [`Failure`] as the source said it, or 08006 when it does not answer within its limits.
    pub fn call_with_retry<T: Send + 'static>(
        &self,
        mut retry: RetryPolicy,
        f: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        loop {
            let error = match self.call(f.clone())? {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(delay) = retry.after(&error) else { return Err(error.into()) };
            wait_out(&error, delay);
        }
    }

    /// Calls `f` with the session, a new one where there is none (any more).
    ///
    /// # Errors
    /// Outside, what is no matter of the source; inside, what the source said.
    pub fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Session) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<Result<T, SourceError>, Failure> {
        let (spec, name, parking) = (self.connect.clone(), self.name.clone(), self.parking.clone());
        call_source(&self.connect, move |handle| {
            let parked = parking.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut session = match parked.filter(|session| !session.is_closed()) {
                Some(session) => session,
                None => Session::open(&spec, &name)?,
            };
            handle.hold(session.canceller())?;
            let outcome = f(&mut session);
            *parking.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            outcome
        })
    }
}

/// By what a call under way is stopped.
#[derive(Default)]
pub struct CancelHandle {
    stopped: AtomicBool,
    /// When there came to be a session.
    connected: OnceLock<Instant>,
    canceller: Mutex<Option<Canceller>>,
}

impl CancelHandle {
    /// Notes what cancels the session's statements from now on.
    ///
    /// # Errors
    /// When the call was stopped before there was anything to cancel.
    fn hold(&self, canceller: Canceller) -> Result<(), SourceError> {
        *self.canceller.lock().unwrap_or_else(PoisonError::into_inner) = Some(canceller);
        let _ = self.connected.set(Instant::now());
        if self.stopped.load(Ordering::SeqCst) {
            return Err(SourceError::permanent("ask the source", "57014", "stopped"));
        }
        Ok(())
    }

    /// Done: there is nothing left to cancel.
    fn release(&self) {
        self.canceller.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Stoppable for CancelHandle {
    fn stop(&self) -> Option<Canceller> {
        self.stopped.store(true, Ordering::SeqCst);
        self.canceller.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Cancels on every way out but success.
struct Guard(Arc<CancelHandle>);

impl Drop for Guard {
    fn drop(&mut self) {
        // The process may be gone the next moment, and the cancel with it if it had no time.
        cancel(self.0.stop().into_iter().collect(), CANCEL_TIMEOUT);
    }
}

/// Runs `f` in a thread and waits for it, as long as the source's own limits allow and a little.
///
/// # Errors
/// Only what is no matter of the source: no thread, no answer.
pub fn call_source<T: Send + 'static>(
    connect: &ConnectSpec,
    f: impl FnOnce(&CancelHandle) -> Result<T, SourceError> + Send + 'static,
) -> Result<Result<T, SourceError>, Failure> {
    let waker = Waker::new()?;
    let handle = Arc::new(CancelHandle::default());
    stop_at_exit(&handle);
    let guard = Guard(handle.clone());
    let (answer, answers) = sync_channel(1);
    let (wake, held) = (waker.clone(), handle.clone());
    spawn_asking("lrs call", move || {
        let outcome = f(&held);
        held.release();
        let _ = answer.send(outcome);
        wake.wake();
    })?;
    let begun = Instant::now();
    loop {
        match answers.try_recv() {
            Ok(outcome) => {
                drop(guard);
                return Ok(outcome);
            }
            Err(TryRecvError::Disconnected) => {
                return Err(Failure::internal("a thread that asked the source died"));
            }
            Err(TryRecvError::Empty) => {}
        }
        let (action, since, limit) = match handle.connected.get() {
            // A question may take more than one statement.
            Some(since) => ("ask the source", *since, connect.limits.until_answered() * 2),
            None => ("connect to the source", begun, connect.limits.until_connected()),
        };
        if since.elapsed() > limit {
            let silence = format!("no answer for {} s", limit.as_secs());
            return Ok(Err(SourceError::transient(action, "08006", silence)));
        }
        latch::wait(Some(&waker), POLL_INTERVAL);
        client::check_client();
    }
}
