//! Short calls to the source, made in a thread while the main thread stays interruptible.

use super::cancel::{CANCEL_TIMEOUT, Stoppable, cancel, stop_at_exit};
use super::count::spawn_asking;
use super::retry::RetryPolicy;
use crate::backend::client;
use crate::backend::latch::{self, POLL_INTERVAL, Waker};
use crate::error::{Failure, notice_with_hint};
use crate::source::{
    Canceller, ConnectSpec, Limits, Parking, Pulse, Session, SourceError, Trouble,
};
use chrono::{DateTime, Utc};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Waits before the source is asked again after `error`, for the time that `retry` has set.
pub fn wait_out(error: &SourceError, delay: Duration, retry: &RetryPolicy) {
    // What to do about it is said once.
    let hint = error.hint.as_deref().filter(|_| retry.attempt() <= 1);
    notice_with_hint(&format!("{error}; trying again in {} ms", delay.as_millis()), hint);
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

/// Says where a session leads, and as whom. It is asked before each connect, because server and user
/// mapping may be altered at any time.
pub type Directions = Box<dyn Fn() -> Result<ConnectSpec, Failure>>;

/// What trouble means before there was any session.
#[derive(Clone, Copy)]
pub enum FirstConnection<'a> {
    /// The call ends: who looks on sees at once what is wrong.
    Once,
    /// What may pass is waited out, as later. `waiting` is called as soon as the source lets the
    /// caller wait.
    Retried { waiting: &'a dyn Fn() },
}

/// Calls to the source, one after the other, in one session as long as it lasts.
pub struct SourceClient {
    directions: Directions,
    purpose: String,
    committed_until: Option<DateTime<Utc>>,
    /// Where the last session led.
    last: RefCell<ConnectSpec>,
    /// Whether there ever was a session.
    connected: Arc<AtomicBool>,
    /// The session between two calls.
    parking: Parking,
}

impl SourceClient {
    /// # Errors
    /// Those of `directions`.
    pub fn new(directions: Directions, purpose: &str) -> Result<Self, Failure> {
        Ok(SourceClient {
            last: RefCell::new(directions()?),
            directions,
            purpose: purpose.to_owned(),
            committed_until: None,
            connected: Arc::default(),
            parking: Parking::default(),
        })
    }

    /// Calls over the session that is parked, or one that leads where `connect` does.
    ///
    /// # Errors
    /// None; as [`SourceClient::new`].
    pub fn over(parking: Parking, connect: ConnectSpec, purpose: &str) -> Result<Self, Failure> {
        let until = connect.committed_until;
        let client = SourceClient::new(Box::new(move || Ok(connect.clone())), purpose)?;
        Ok(SourceClient { parking, ..client.relying_on(until) })
    }

    /// Has every session that is opened from now on show what was committed before `until`, as the
    /// source did when it was asked first; see [`ConnectSpec::committed_until`].
    pub fn relying_on(mut self, until: Option<DateTime<Utc>>) -> Self {
        self.committed_until = until;
        self
    }

    /// Where the last session led.
    pub fn led_to(&self) -> ConnectSpec {
        self.last.borrow().clone()
    }

    /// Calls `f` with a session, and again after trouble that may pass.
    ///
    /// # Errors
    /// [`Failure`] as the source said it, or 08006 when it does not answer within its limits.
    pub fn call_with_retry<T: Send + 'static>(
        &self,
        mut retry: RetryPolicy,
        first: FirstConnection<'_>,
        f: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        let waiting = match first {
            FirstConnection::Once => None,
            FirstConnection::Retried { waiting } => Some(waiting),
        };
        loop {
            let error = match self.call_while(waiting, f.clone())? {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let is_first = !self.connected.load(Ordering::SeqCst);
            let may_pass = match first {
                _ if !is_first => true,
                FirstConnection::Once => false,
                FirstConnection::Retried { .. } => error.trouble != Trouble::Unreachable,
            };
            let Some(delay) = retry.after(&error).filter(|_| may_pass) else {
                return Err(error.into());
            };
            if let Some(waiting) = waiting {
                waiting();
            }
            wait_out(&error, delay, &retry);
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
        self.call_while(None, f)
    }

    fn call_while<T: Send + 'static>(
        &self,
        waiting: Option<&dyn Fn()>,
        f: impl FnOnce(&mut Session) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<Result<T, SourceError>, Failure> {
        let parked = self.parking.lock().unwrap_or_else(PoisonError::into_inner).take();
        let parked = parked.filter(|session| !session.is_closed());
        if parked.is_none() {
            let directions = (self.directions)()?;
            *self.last.borrow_mut() =
                ConnectSpec { committed_until: self.committed_until, ..directions };
        }
        let spec = self.led_to();
        let name = spec.session_name(&self.purpose);
        let (parking, connected) = (self.parking.clone(), self.connected.clone());
        let outcome = call_source(spec.limits, waiting, move |handle| {
            let mut session = match parked {
                Some(session) => session,
                None => Session::open(&spec, &name)?,
            };
            connected.store(true, Ordering::SeqCst);
            handle.hold(&session)?;
            let outcome = f(&mut session);
            *parking.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            outcome
        })?;
        Ok(outcome.map_err(|error| self.judged(error)))
    }

    /// A password that is refused may be the one before: who changes it changes it in two places. So
    /// it is tried again where it was right before, or where there is another one by now.
    fn judged(&self, error: SourceError) -> SourceError {
        let may_change = || {
            self.connected.load(Ordering::SeqCst)
                || (self.directions)().is_ok_and(|now| !now.is_same_identity(&self.last.borrow()))
        };
        if error.is_wrong_password() && may_change() {
            return SourceError { trouble: Trouble::Transient, ..error };
        }
        error
    }
}

/// By what a call under way is stopped.
#[derive(Default)]
pub struct CancelHandle {
    stopped: AtomicBool,
    /// The session's, once there is one.
    pulse: OnceLock<Pulse>,
    canceller: Mutex<Option<Canceller>>,
}

impl CancelHandle {
    /// Notes what cancels the session's statements from now on, and how it is seen to live.
    ///
    /// # Errors
    /// When the call was stopped before there was anything to cancel.
    fn hold(&self, session: &Session) -> Result<(), SourceError> {
        *self.canceller.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.canceller());
        let pulse = session.pulse();
        pulse.beat();
        let _ = self.pulse.set(pulse);
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

/// What waits for longer is worth a word.
const NOTICEABLE: Duration = Duration::from_millis(400);

/// Runs `f` in a thread and waits for it, as long as the source answers each statement within its own
/// limits and a little. `waiting` is called when that takes a while.
///
/// # Errors
/// Only what is no matter of the source: no thread, no answer.
fn call_source<T: Send + 'static>(
    limits: Limits,
    waiting: Option<&dyn Fn()>,
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
        if let Some(waiting) = waiting.filter(|_| begun.elapsed() > NOTICEABLE) {
            waiting();
        }
        let no_answer = |limit: Duration| format!("no answer for {} s", limit.as_secs());
        match handle.pulse.get() {
            // Each statement has the time anew: there may be thousands.
            Some(pulse) if pulse.silence() > limits.until_answered() => {
                let silence = no_answer(limits.until_answered());
                return Ok(Err(SourceError::transient("ask the source", "08006", silence)));
            }
            None if begun.elapsed() > limits.until_connected() => {
                let silence = no_answer(limits.until_connected());
                return Ok(Err(SourceError::unreachable(
                    "connect to the source",
                    "08006",
                    silence,
                )));
            }
            _ => {}
        }
        latch::wait(Some(&waker), POLL_INTERVAL);
        client::check_client();
    }
}
