//! A short conversation with the source, from a thread, while the main thread stays interruptible.

use super::exit::{PATIENCE, Stoppable, cancel, stop_at_exit};
use super::pacing::Pacing;
use super::thread::spawn_asking;
use crate::backend::client;
use crate::backend::latch::{self, Waker};
use crate::error::{Failure, notice};
use crate::source::{Canceller, ConnectSpec, Parking, Session, SourceError};
use chrono::{DateTime, Utc};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Opens a session and runs `f` with it, again after what may pass.
///
/// # Errors
/// [`Failure`] as the source said it, or 08006 when it does not answer within its limits.
pub fn ask_source<T: Send + 'static>(
    connect: &ConnectSpec,
    pacing: Pacing,
    f: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
) -> Result<T, Failure> {
    Conversation::new(connect, "plan").insist(pacing, f)
}

/// Waits before the source is asked again after `error`.
pub fn wait_out(error: &SourceError, delay: Duration) {
    notice(&format!("{error}; trying again in {} ms", delay.as_millis()));
    stand_by(delay);
}

/// Waits in the caller's backend, for as long as its client is there.
pub fn stand_by(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        latch::wait(None, left.min(Duration::from_millis(100)));
        client::check_client();
    }
}

/// Several questions to the source, one after the other, in one session as long as it lasts.
pub struct Conversation {
    connect: ConnectSpec,
    /// How the session is named on the source.
    name: String,
    /// The session between two questions.
    parking: Parking,
}

impl Conversation {
    pub fn new(connect: &ConnectSpec, purpose: &str) -> Self {
        Conversation {
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

    /// Asks, and again after what may pass.
    ///
    /// # Errors
    /// As [`ask_source`].
    pub fn insist<T: Send + 'static>(
        &self,
        mut pacing: Pacing,
        f: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        loop {
            let error = match self.ask(f.clone())? {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(delay) = pacing.after(&error) else { return Err(error.into()) };
            wait_out(&error, delay);
        }
    }

    /// Runs `f` with the session, a new one where there is none (any more).
    ///
    /// # Errors
    /// Outside, what is no matter of the source; inside, what the source said.
    pub fn ask<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Session) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<Result<T, SourceError>, Failure> {
        let (spec, name, parking) = (self.connect.clone(), self.name.clone(), self.parking.clone());
        run(&self.connect, move |line| {
            let parked = parking.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut session = match parked.filter(|session| !session.is_closed()) {
                Some(session) => session,
                None => Session::open(&spec, &name)?,
            };
            line.hold(session.canceller())?;
            let outcome = f(&mut session);
            *parking.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            outcome
        })
    }
}

/// By what an errand under way is stopped.
#[derive(Default)]
pub struct Line {
    stopped: AtomicBool,
    /// When there came to be a session.
    connected: OnceLock<Instant>,
    canceller: Mutex<Option<Canceller>>,
}

impl Line {
    /// Notes what cancels the session's statements from now on.
    ///
    /// # Errors
    /// When the errand was stopped before there was anything to cancel.
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

impl Stoppable for Line {
    fn stop(&self) -> Option<Canceller> {
        self.stopped.store(true, Ordering::SeqCst);
        self.canceller.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Cancels on every way out but success.
struct Guard(Arc<Line>);

impl Drop for Guard {
    fn drop(&mut self) {
        // The process may be gone the next moment, and the cancel with it if it had no time.
        cancel(self.0.stop().into_iter().collect(), PATIENCE);
    }
}

/// Runs `f` in a thread and waits for it, as long as the source's own limits allow and a little.
///
/// # Errors
/// Only what is no matter of the source: no thread, no answer.
pub fn run<T: Send + 'static>(
    connect: &ConnectSpec,
    f: impl FnOnce(&Line) -> Result<T, SourceError> + Send + 'static,
) -> Result<Result<T, SourceError>, Failure> {
    let waker = Waker::new()?;
    let line = Arc::new(Line::default());
    stop_at_exit(&line);
    let guard = Guard(line.clone());
    let (answer, answers) = sync_channel(1);
    let (wake, held) = (waker.clone(), line.clone());
    spawn_asking("lrs errand", move || {
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
        let (action, since, limit) = match line.connected.get() {
            // A question may take more than one statement.
            Some(since) => ("ask the source", *since, connect.limits.until_answered() * 2),
            None => ("connect to the source", begun, connect.limits.until_connected()),
        };
        if since.elapsed() > limit {
            let silence = format!("no answer for {} s", limit.as_secs());
            return Ok(Err(SourceError::transient(action, "08006", silence)));
        }
        latch::wait(Some(&waker), Duration::from_millis(200));
        client::check_client();
    }
}
