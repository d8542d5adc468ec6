//! What the puller does when a walk has failed: it waits and tries again, gives the slice back, or ends.

use super::Puller;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::error::Failure;
use crate::ledger;
use crate::pull::context::{ExecutionContext, Phase};
use crate::pull::failure::{ConstraintChecks, Decision, PullError, decide, given_up};
use crate::pull::slice_walk::SliceWalk;
use std::time::{Duration, Instant};

impl<C: ExecutionContext> Puller<C> {
    /// Gets ready for the next attempt. No unit is open.
    ///
    /// # Errors
    /// The failure itself when there is no further attempt; 55000 when the pipeline was changed
    /// during the run.
    pub(super) fn recover(
        &mut self,
        walk: &mut SliceWalk,
        error: PullError,
    ) -> Result<(), Failure> {
        let (checks, commit) = (self.checks, self.request.commit);
        let decision = decide(&error, checks, walk.careful, commit, &mut self.retry);
        if self.checks == ConstraintChecks::Committing {
            self.checks = ConstraintChecks::AsDeclared;
        }
        let failure = Failure::from(error);
        let delay = match decision {
            Decision::RetryNow => {
                self.checks = ConstraintChecks::Immediate;
                self.context.warn(&format!(
                    "{}; loading it once more, with deferred constraints checked at once",
                    failure.message
                ));
                return self.context.check_stop();
            }
            Decision::WithCare => {
                walk.careful = true;
                self.context.warn(&format!("{}; looking for the row", failure.message));
                return self.context.check_stop();
            }
            Decision::GiveUp => {
                self.context.check_stop()?;
                return Err(self.given_up(walk, failure, self.retry.attempt()));
            }
            Decision::After(delay) => delay,
        };
        self.context.check_stop()?;
        // No connection is left for this worker: not even when its own of before has had time to end.
        if failure.sqlstate == "53300" && walk.is_untouched() && self.retry.attempt() > 1 {
            walk.given_back = self.context.give_back(&walk.slice)?;
            if walk.given_back {
                self.context.warn(&format!(
                    "{}; this worker ends, and the others continue with its slices",
                    failure.message
                ));
                return Ok(());
            }
        }
        self.context.warn(&format!(
            "{}; trying again in {} ms with pages of {} rows",
            failure.message,
            delay.as_millis(),
            self.retry.page()
        ));
        self.context.announce(&walk.slice, Phase::Retry);
        let (run_id, slice_no) = (self.request.run_id, walk.slice.slice_no);
        self.in_unit(|_| ledger::record_retry(run_id, slice_no, &failure.message))?;
        self.wait_for_retry(walk, delay, failure)
    }

    /// Waits, following changes of the pipeline's settings.
    fn wait_for_retry(
        &mut self,
        walk: &SliceWalk,
        mut delay: Duration,
        failure: Failure,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        while let Some(left) = delay.checked_sub(begun.elapsed()) {
            latch::wait(None, left.min(POLL_INTERVAL));
            self.context.check_stop()?;
            if self.apply_changes_when_due(walk)? {
                match self.retry.delay() {
                    Some(now) => delay = now,
                    // The retry that was waited for is not made.
                    None => {
                        let made = self.retry.attempt().saturating_sub(1);
                        return Err(self.given_up(walk, failure, made));
                    }
                }
            }
        }
        Ok(())
    }

    fn given_up(&self, walk: &SliceWalk, failure: Failure, retries: u32) -> Failure {
        let timestamp = walk.watermark.edge().unwrap_or(walk.slice.interval.from).timestamp();
        let verb = if walk.slice.compared { "comparing" } else { "pulling" };
        let doing = format!("{verb} {}", walk.slice.partition);
        given_up(failure, retries, self.request.commit, &doing, timestamp)
    }
}
