//! What holds the reader back on purpose. The puller may change it at any time, also
//! while the reader is being held back: it notices within 20 ms.

use super::budget::{Budget, Doing};
use super::connect::Session;
use super::error::SourceError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long `pause_while` is left alone before it is asked again.
pub const PAUSE: Duration = Duration::from_secs(1);
/// How long a page of a source that is held back by a rate may take.
const PAGE_TIME: Duration = Duration::from_secs(10);
/// A stream that fell behind saves up no more than this, so that no burst follows a pause.
const CREDIT: Duration = Duration::from_secs(1);

/// The limits that a walk keeps now.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Zero: none.
    bytes_per_second: AtomicU64,
    /// A query for one boolean; while it is true no page is asked for.
    pause_while: Mutex<Option<String>>,
    /// Counts the changes of the two.
    version: AtomicU64,
    /// Rows that a page may have: fewer after a statement timeout.
    page: AtomicU64,
    /// What a row of the last page came to on the wire; zero before the first.
    bytes_a_row: AtomicU64,
    /// Bytes a second of the last page; zero where the stage did not take them as they came.
    pace: AtomicU64,
}

/// A page as it is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageSize {
    pub rows: u64,
    /// What the rows are expected to come to on the wire.
    pub bytes: u64,
}

/// Before anything is known of the rows: their size, and how much to ask for.
const GUESS: u64 = 4_096;
const FIRST_PAGE: u64 = 1 << 20;
/// From here on a source is far away; less may be the source's own work.
const FAR: Duration = Duration::from_millis(5);
/// Of a source that is far away.
const LARGEST_PAGE: u64 = 64 << 20;

impl Throttle {
    pub fn new(bytes_per_second: Option<u64>, pause_while: Option<&str>) -> Arc<Self> {
        let throttle = Throttle::default();
        throttle.set(bytes_per_second, pause_while);
        Arc::new(throttle)
    }

    /// Sets both limits, for the page under way too; a rate of zero is the smallest there is.
    pub fn set(&self, bytes_per_second: Option<u64>, pause_while: Option<&str>) {
        let rate = bytes_per_second.map_or(0, |rate| rate.max(1));
        self.bytes_per_second.store(rate, Ordering::Relaxed);
        *self.pause_while.lock().unwrap_or_else(PoisonError::into_inner) =
            pause_while.map(str::to_owned);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Sets the rows that a page may have, from the next one on.
    pub fn set_page(&self, rows: u64) {
        self.page.store(rows.max(1), Ordering::Relaxed);
    }

    /// What to ask for in the next page: no more than `rows`, nor than the puller allows, nor than
    /// `room` bytes hold of rows like those of the last page.
    ///
    /// A source that is read slowly on purpose is not to be kept at one statement, and one snapshot,
    /// for long: a page is no larger than the rate brings over in [`PAGE_TIME`].
    pub(super) fn page(&self, rows: u64, room: u64) -> PageSize {
        let (bytes_a_row, room) = match self.bytes_a_row.load(Ordering::Relaxed) {
            0 => (GUESS, room.min(FIRST_PAGE)),
            known => (known, room),
        };
        let soon = self.bytes_per_second().unwrap_or(u64::MAX).saturating_mul(PAGE_TIME.as_secs());
        let allowed = rows.min(self.page.load(Ordering::Relaxed));
        let rows = allowed.min(room.min(soon) / bytes_a_row).max(1);
        PageSize { rows, bytes: rows.saturating_mul(bytes_a_row) }
    }

    /// Whether the puller wants pages smaller than a `batch`.
    pub(super) fn is_shrunk(&self, batch: u64) -> bool {
        self.page.load(Ordering::Relaxed) < batch
    }

    /// Whether the puller wants one row at a time: what comes cannot be divided.
    pub(super) fn is_least(&self) -> bool {
        self.page.load(Ordering::Relaxed) <= 1
    }

    /// As much less than `most` as the puller wants pages to be smaller than a `batch`.
    pub(super) fn scaled(&self, most: u32, batch: u64) -> u32 {
        let page = self.page.load(Ordering::Relaxed).min(batch);
        (f64::from(most) * page as f64 / batch as f64).ceil() as u32
    }

    /// Bytes of a page from a source that is far away: so many that the way there and back is a tenth
    /// of the page's time. That may be more than there is room for; so only while the stage takes them
    /// as they come.
    pub(super) fn far_page(&self, round_trip: Duration) -> u64 {
        if round_trip < FAR {
            return 0;
        }
        let bytes = self.pace.load(Ordering::Relaxed) as f64 * round_trip.as_secs_f64() * 9.0;
        (bytes as u64).min(LARGEST_PAGE)
    }

    /// Takes in how many bytes a second the last page brought, if the stage took them as they came.
    pub(super) fn note_pace(&self, bytes_a_second: Option<u64>) {
        self.pace.store(bytes_a_second.unwrap_or(0), Ordering::Relaxed);
    }

    /// Takes in what a page of so many rows came to.
    pub(super) fn note_page(&self, rows: u64, bytes: u64) {
        if let Some(bytes_a_row) = bytes.checked_div(rows) {
            self.bytes_a_row.store(bytes_a_row.max(1), Ordering::Relaxed);
        }
    }

    fn bytes_per_second(&self) -> Option<u64> {
        Some(self.bytes_per_second.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    fn pause_while(&self) -> Option<String> {
        self.pause_while.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds the reader back for that time, or until a limit has changed since `version`.
    fn hold(&self, time: Duration, version: u64, budget: &Budget) -> Result<(), SourceError> {
        budget.sleep(time, || self.version() != version)
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Comes back when the source does not ask for a pause, or is not to be asked any more.
    pub(super) fn wait_while_paused(
        &self,
        session: &mut Session,
        budget: &Budget,
    ) -> Result<(), SourceError> {
        loop {
            let version = self.version();
            let Some(query) = self.pause_while() else { break };
            if budget.doing() == Doing::Paused {
                budget.now(Doing::Asking);
            }
            if !session.ask(&query)? {
                break;
            }
            budget.now(Doing::Paused);
            self.hold(PAUSE, version, budget)?;
        }
        budget.now(Doing::Reading);
        Ok(())
    }
}

/// How many bytes came since when, against the rate that holds since then.
#[derive(Debug)]
pub(super) struct RateLimiter {
    rate: Option<u64>,
    started: Instant,
    bytes: u64,
}

impl RateLimiter {
    pub fn new() -> Self {
        RateLimiter { rate: None, started: Instant::now(), bytes: 0 }
    }

    /// Takes in that `bytes` came, and sleeps as long as the throttle's rate asks for.
    pub fn keep(
        &mut self,
        bytes: u64,
        throttle: &Throttle,
        budget: &Budget,
    ) -> Result<(), SourceError> {
        self.take_over(throttle.bytes_per_second());
        self.bytes += bytes;
        loop {
            let version = throttle.version();
            self.take_over(throttle.bytes_per_second());
            let ahead = self.ahead();
            if ahead.is_zero() {
                return Ok(());
            }
            budget.now(Doing::Throttled);
            throttle.hold(ahead, version, budget)?;
            budget.now(Doing::Reading);
        }
    }

    /// Goes over to another rate; the bytes that came too soon by the old one are still to be waited
    /// for, by the new one.
    fn take_over(&mut self, rate: Option<u64>) {
        if rate == self.rate {
            return;
        }
        let owed = self.ahead().as_secs_f64() * self.rate.unwrap_or(0) as f64;
        *self = RateLimiter { rate, bytes: owed as u64, ..RateLimiter::new() };
    }

    /// How much sooner than by the rate the bytes came.
    fn ahead(&mut self) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let due = Duration::from_secs_f64(self.bytes as f64 / rate as f64);
        let passed = self.started.elapsed();
        if passed.saturating_sub(due) > CREDIT {
            *self = RateLimiter { rate: self.rate, ..RateLimiter::new() };
            return Duration::ZERO;
        }
        due.saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_for(bytes: u64, throttle: &Throttle, limiter: &mut RateLimiter) -> f64 {
        let begun = Instant::now();
        limiter.keep(bytes, throttle, &Budget::new(10)).unwrap();
        begun.elapsed().as_secs_f64()
    }

    #[test]
    fn the_rate_is_kept() {
        let (throttle, mut limiter) = (Throttle::new(Some(50_000), None), RateLimiter::new());
        let took: f64 = (0..10).map(|_| seconds_for(1_000, &throttle, &mut limiter)).sum();
        assert!((0.19..0.5).contains(&took), "{took} s");
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let (throttle, mut limiter) = (Throttle::new(None, None), RateLimiter::new());
        assert!(seconds_for(u64::MAX / 2, &throttle, &mut limiter) < 0.1);
    }

    #[test]
    fn a_page_is_no_larger_than_asked_for_or_than_the_rate_brings_soon() {
        let throttle = Throttle::new(Some(10_000), None);
        throttle.set_page(500);
        let rows = |bytes_a_row| {
            throttle.note_page(1, bytes_a_row);
            throttle.page(1_000, u64::MAX).rows
        };
        assert_eq!([rows(100), rows(1_000), rows(1 << 30)], [500, 100, 1]);
        for no_limit in [None, Some(u64::MAX)] {
            throttle.set(no_limit, None);
            assert_eq!(rows(1_000), 500);
        }
    }

    #[test]
    fn a_page_of_a_far_source_takes_nine_times_the_way() {
        let throttle = Throttle::new(None, None);
        let way = Duration::from_millis(50);
        assert_eq!(throttle.far_page(way), 0, "nothing is known of the pace");
        throttle.note_pace(Some(80_000_000));
        assert_eq!(throttle.far_page(way), 36_000_000);
        assert_eq!(throttle.far_page(Duration::from_secs(10)), LARGEST_PAGE);
        assert_eq!(throttle.far_page(Duration::from_millis(4)), 0, "the source is near");
        throttle.note_pace(None);
        assert_eq!(throttle.far_page(way), 0, "the stage did not keep up");
    }

    #[test]
    fn a_page_fits_the_room_there_is() {
        let throttle = Throttle::new(None, None);
        throttle.set_page(50_000);
        let first = throttle.page(50_000, 8 << 20);
        assert_eq!(first, PageSize { rows: FIRST_PAGE / GUESS, bytes: FIRST_PAGE });
        throttle.note_page(first.rows, first.rows * 1_000);
        let second = throttle.page(50_000, 8 << 20);
        assert_eq!(second, PageSize { rows: 8_388, bytes: 8_388_000 });
        assert_eq!(throttle.page(7, 8 << 20).rows, 7);
        throttle.note_page(1, 1 << 30);
        assert_eq!(throttle.page(50_000, 8 << 20).rows, 1);
    }

    /// How long a reader sleeps that is held back for an hour, when the limit changes to `rate`.
    fn seconds_until_it_notices(rate: Option<u64>) -> f64 {
        let (throttle, mut limiter) = (Throttle::new(Some(1), None), RateLimiter::new());
        let other = throttle.clone();
        let change = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            other.set(rate, None);
        });
        let took = seconds_for(3_600, &throttle, &mut limiter);
        change.join().unwrap();
        took
    }

    #[test]
    fn a_limit_that_is_lifted_lets_a_sleeping_reader_go_on() {
        assert!(seconds_until_it_notices(None) < 0.5);
    }

    #[test]
    fn what_is_owed_by_a_crawl_is_paid_by_the_rate_that_follows() {
        let took = seconds_until_it_notices(Some(7_200));
        assert!((0.45..1.0).contains(&took), "{took} s");
    }
}
