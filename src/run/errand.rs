//! A short conversation with the source, from a thread, while the main thread stays interruptible.

use super::exit::cancel;
use super::pacing::Pacing;
use super::thread::spawn_quiet;
use super::wait::{self, Waker};
use crate::error::{Failure, notice};
use crate::source::{Canceller, ConnectSpec, Session, SourceError};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How the session of an errand is named on the source.
const NAME: &str = "lrs_extract plan";

/// Opens a session and runs `f` with it, again after what may pass.
///
/// # Errors
/// [`Failure`] as the source said it, or 08006 when it does not answer within its limits.
pub fn ask_source<T: Send + 'static>(
    connect: &ConnectSpec,
    mut pacing: Pacing,
    f: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
) -> Result<T, Failure> {
    loop {
        let spec = connect.clone();
        let f = f.clone();
        let outcome = run(connect, move |canceller| {
            let mut session = Session::open(&spec, NAME)?;
            *canceller.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.canceller());
            f(&mut session)
        })?;
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(delay) = pacing.after(&error) else { return Err(error.into()) };
        notice(&format!("{error}; trying again in {} ms", delay.as_millis()));
        let end = Instant::now() + delay;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            wait::wait(None, left.min(Duration::from_millis(100)));
            wait::check_client();
        }
    }
}

type Slot = Arc<Mutex<Option<Canceller>>>;

/// Cancels on every way out but success.
struct Guard(Slot);

impl Drop for Guard {
    fn drop(&mut self) {
        let canceller = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        cancel(canceller.into_iter().collect(), Duration::ZERO);
    }
}

/// Runs `f` in a thread and waits for it, as long as the source's own limits allow and a little.
///
/// # Errors
/// Only what is no matter of the source: no thread, no answer.
pub fn run<T: Send + 'static>(
    connect: &ConnectSpec,
    f: impl FnOnce(&Slot) -> Result<T, SourceError> + Send + 'static,
) -> Result<Result<T, SourceError>, Failure> {
    let waker = Waker::new()?;
    let canceller: Slot = Arc::default();
    let guard = Guard(canceller.clone());
    let (answer, answers) = sync_channel(1);
    let wake = waker.clone();
    spawn_quiet("lrs errand", move || {
        let outcome = f(&canceller);
        // Done: there is nothing left to cancel.
        canceller.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = answer.send(outcome);
        wake.wake();
    })
    .map_err(|e| Failure::new("53000", format!("could not start a thread: {e}")))?;
    let limit = connect.limits.connect + connect.limits.statement * 2;
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
            Err(TryRecvError::Empty) if begun.elapsed() > limit => {
                return Ok(Err(SourceError::transient(
                    "ask the source",
                    "08006",
                    format!("no answer for {} s", limit.as_secs()),
                )));
            }
            Err(TryRecvError::Empty) => {}
        }
        wait::wait(Some(&waker), Duration::from_millis(200));
        wait::check_client();
    }
}
