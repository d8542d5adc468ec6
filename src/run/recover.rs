//! What follows when a walk breaks: another attempt after a wait, or the run's end in words.

use super::place::{Phase, Place};
use super::request::CommitMode;
use super::step::{Checks, Puller, Walk};
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::error::Failure;
use crate::ledger;
use crate::source::SourceError;
use std::time::{Duration, Instant};

/// Why a walk ended before its end.
#[derive(Debug)]
pub enum Broken {
    Source(SourceError),
    Stage(Failure),
}

impl From<SourceError> for Broken {
    fn from(error: SourceError) -> Self {
        Broken::Source(error)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Broken::Stage(failure)
    }
}

impl<P: Place> Puller<P> {
    /// Waits before the next attempt. No unit is open.
    ///
    /// # Errors
    /// The failure itself when there is to be none; 55000 when the pipeline was changed meanwhile.
    pub(super) fn recover(&mut self, walk: &Walk, broken: Broken) -> Result<(), Failure> {
        let committing = self.checks == Checks::Committing;
        if committing {
            self.checks = Checks::AsDeclared;
        }
        let (delay, failure) = match broken {
            Broken::Stage(failure) if committing && failure.is_about_a_row() => {
                self.checks = Checks::AtOnce;
                self.place.note(&format!(
                    "{}; loading it once more, with deferred constraints checked at once",
                    failure.message
                ));
                return self.place.look_around();
            }
            Broken::Source(error) => (self.pacing.after(&error), Failure::from(error)),
            Broken::Stage(failure)
                if failure.is_transient() && self.request.commit != CommitMode::Caller =>
            {
                (self.pacing.next_delay(), failure)
            }
            Broken::Stage(failure) => (None, failure),
        };
        self.place.look_around()?;
        let Some(delay) = delay else {
            return Err(self.given_up(walk, failure, self.pacing.attempt()));
        };
        self.place.note(&format!(
            "{}; trying again in {} ms with pages of {} rows",
            failure.message,
            delay.as_millis(),
            self.pacing.page()
        ));
        self.place.announce(&walk.slice, Phase::Retry);
        let (run_id, slice_no) = (self.request.run_id, walk.slice.slice_no);
        self.in_unit(|_| ledger::note_retry(run_id, slice_no, &failure.message))?;
        self.wait_for_retry(walk, delay, failure)
    }

    /// Waits, for as long as the pipeline's settings of the moment say.
    fn wait_for_retry(
        &mut self,
        walk: &Walk,
        mut delay: Duration,
        failure: Failure,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        while let Some(left) = delay.checked_sub(begun.elapsed()) {
            latch::wait(None, left.min(POLL_INTERVAL));
            self.place.look_around()?;
            if self.heed_now_and_then(walk)? {
                match self.pacing.delay() {
                    Some(now) => delay = now,
                    // The retry that was waited for is not made.
                    None => {
                        let made = self.pacing.attempt().saturating_sub(1);
                        return Err(self.given_up(walk, failure, made));
                    }
                }
            }
        }
        Ok(())
    }

    /// The failure, with where it was met.
    fn given_up(&self, walk: &Walk, failure: Failure, retries: u32) -> Failure {
        let attempts = match retries {
            0 => String::new(),
            n => format!(" after {n} retries"),
        };
        let before = match self.request.commit {
            CommitMode::Caller => "everything before goes with the caller's transaction",
            CommitMode::Batch | CommitMode::Slice => "everything before is committed and stays",
        };
        let place = format!(
            "While pulling {} from {}{attempts}; {before}.",
            walk.slice.partition,
            walk.watermark.timestamp(),
        );
        let detail = failure.detail.clone().map_or(place.clone(), |d| format!("{d} {place}"));
        failure.with_detail(detail)
    }
}
