//! When the source is asked again after trouble, and for how many rows.

use crate::ledger::SourceLimits;
use crate::source::{SourceError, Trouble};
use std::time::Duration;

/// Waits grow up to this.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// After so many batches without trouble, a page that was made smaller grows again.
const BATCHES_TO_GROW: u32 = 8;

/// The retries of one worker.
#[derive(Debug)]
pub struct RetryPolicy {
    retries: u32,
    first_delay: Duration,
    batch: u64,
    page: u64,
    /// Retries since the last batch, the one that is waited for included.
    attempt: u32,
    /// The trouble is met with a smaller page: that is no retry, and its wait does not grow.
    shrunk: bool,
    quiet_batches: u32,
}

impl RetryPolicy {
    pub fn new(retries: u32, first_delay: Duration, batch: u64) -> Self {
        RetryPolicy {
            retries,
            first_delay,
            batch,
            page: batch,
            attempt: 0,
            shrunk: false,
            quiet_batches: 0,
        }
    }

    /// For calls that do not read pages.
    pub fn of(limits: &SourceLimits) -> Self {
        RetryPolicy::new(limits.retries, limits.retry_delay, 1)
    }

    /// Takes over other settings, for the wait under way too: see [`RetryPolicy::delay`].
    pub fn set_retries(&mut self, retries: u32, first_delay: Duration) {
        self.retries = retries;
        self.first_delay = first_delay;
    }

    /// Rows to ask for at a time.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// A batch has been committed: the trouble before it is over.
    pub fn succeeded(&mut self) {
        self.attempt = 0;
        self.quiet_batches += 1;
        if self.quiet_batches >= BATCHES_TO_GROW && self.page < self.batch {
            self.page = (self.page * 2).min(self.batch);
            self.quiet_batches = 0;
        }
    }

    /// How long to wait before the next attempt, or `None` when the retries are used up.
    pub fn after(&mut self, error: &SourceError) -> Option<Duration> {
        self.quiet_batches = 0;
        match error.trouble {
            Trouble::Permanent => None,
            // As long as the page can shrink, shrinking it is progress.
            Trouble::StatementTimeout if self.page > 1 => {
                self.page = (self.page / 4).max(1);
                self.shrunk = true;
                self.delay()
            }
            Trouble::StatementTimeout | Trouble::Transient | Trouble::Unreachable => {
                self.next_delay()
            }
        }
    }

    /// The same for an error of the stage that may pass.
    pub fn next_delay(&mut self) -> Option<Duration> {
        if self.attempt >= self.retries {
            return None;
        }
        self.attempt += 1;
        self.shrunk = false;
        self.delay()
    }

    /// How long the wait under way is, from its begin, by the settings of now; `None` when they
    /// leave no retry.
    pub fn delay(&self) -> Option<Duration> {
        if self.shrunk {
            return Some(self.first_delay);
        }
        let doublings = self.attempt.checked_sub(1)?;
        let delay = self.first_delay.saturating_mul(2u32.saturating_pow(doublings));
        (self.attempt <= self.retries).then_some(delay.min(LONGEST_DELAY))
    }

    /// How many retries there were since the last batch.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(trouble: Trouble) -> SourceError {
        SourceError { trouble, ..SourceError::permanent("test", "00000", "") }
    }

    #[test]
    fn delays_double_up_to_a_minute_and_end() {
        let mut retry = RetryPolicy::new(8, Duration::from_secs(1), 100);
        let delays: Vec<u64> = std::iter::from_fn(|| retry.after(&error(Trouble::Transient)))
            .map(|d| d.as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn the_wait_under_way_goes_by_the_settings_of_now() {
        let mut retry = RetryPolicy::new(8, Duration::from_secs(30), 100);
        assert!(retry.next_delay().is_some());
        assert_eq!(retry.next_delay(), Some(Duration::from_secs(60)));
        retry.set_retries(8, Duration::from_secs(2));
        assert_eq!(retry.delay(), Some(Duration::from_secs(4)));
        retry.set_retries(1, Duration::from_secs(2));
        assert_eq!(retry.delay(), None);
    }

    #[test]
    fn a_batch_makes_the_retries_new() {
        let mut retry = RetryPolicy::new(1, Duration::from_secs(1), 100);
        assert!(retry.after(&error(Trouble::Transient)).is_some());
        assert!(retry.after(&error(Trouble::Transient)).is_none());
        retry.succeeded();
        assert!(retry.after(&error(Trouble::Transient)).is_some());
    }

    #[test]
    fn a_timeout_makes_the_page_smaller_and_quiet_lets_it_grow() {
        let mut retry = RetryPolicy::new(0, Duration::ZERO, 100);
        assert!(retry.after(&error(Trouble::StatementTimeout)).is_some());
        assert_eq!(retry.page(), 25);
        for _ in 0..2 {
            assert!(retry.after(&error(Trouble::StatementTimeout)).is_some());
        }
        assert_eq!(retry.page(), 1);
        assert!(retry.after(&error(Trouble::StatementTimeout)).is_none());
        (0..BATCHES_TO_GROW).for_each(|_| retry.succeeded());
        assert_eq!(retry.page(), 2);
    }

    #[test]
    fn a_permanent_error_is_not_tried_again() {
        let mut retry = RetryPolicy::new(8, Duration::ZERO, 100);
        assert_eq!(retry.after(&error(Trouble::Permanent)), None);
    }
}
