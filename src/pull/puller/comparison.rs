//! A slice compared with the source and repaired, range by range.

use super::Puller;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::backend::time::millis;
use crate::error::Failure;
use crate::ledger::{self, Batch};
use crate::load;
use crate::pull::comparing::{Comparing, RangeRepair, Surplus, summary};
use crate::pull::context::{ExecutionContext, Phase};
use crate::pull::failure::PullError;
use crate::pull::slice_walk::SliceWalk;
use crate::slice::Slice;
use crate::source::{
    PAUSE, Session, SourceError, TimeRange, Trouble, has_session, is_about_a_value,
};
use crate::threads::SourceClient;
use crate::verify::{
    Bisected, ComparedRange, Inquiry, Portion, SourceSums, bisect, compare, portions,
    rows_of_source, sums_of_both,
};
use std::time::{Duration, Instant};

impl<C: ExecutionContext> Puller<C> {
    /// Compares a slice that was pulled before, and repairs what differs; false where the slice was given
    /// back, see [`SliceWalk::given_back`].
    ///
    /// # Errors
    /// [`Failure`] when another attempt would not help; everything committed stays.
    pub fn compare_slice(&mut self, slice: &Slice) -> Result<bool, Failure> {
        let request = self.request.clone();
        let Some(comparing) = &request.comparing else {
            return Err(Failure::internal("a slice to be compared in a run that does not"));
        };
        let begun = Instant::now();
        let mut inquiry = SliceInquiry {
            walk: SliceWalk::new(slice.clone()),
            puller: self,
            on_source: Duration::ZERO,
            on_stage: Duration::ZERO,
        };
        let outcome = inquiry.compare(comparing);
        let SliceInquiry { walk, on_source, on_stage, .. } = inquiry;
        if walk.given_back {
            return Ok(false);
        }
        outcome?;
        self.end_slice(slice, comparing, [on_source, on_stage, begun.elapsed()])?;
        Ok(true)
    }

    /// Writes that a slice is compared to its end, and what that took.
    fn end_slice(
        &mut self,
        slice: &Slice,
        comparing: &Comparing,
        [on_source, on_stage, elapsed]: [Duration; 3],
    ) -> Result<(), Failure> {
        let mut batch = Batch {
            slice_no: slice.slice_no,
            worker: self.context.worker(),
            slice_done: true,
            source_wait_ms: millis(on_source),
            insert_ms: millis(on_stage),
            elapsed_ms: millis(elapsed),
            ..Batch::default()
        };
        if !comparing.method.dry_run {
            batch.batch_no = self.number();
            self.in_unit(|puller| {
                puller.record_commit_times()?;
                ledger::record_batch(puller.request.run_id, &batch, &slice.partition, None)
            })?;
            self.number = None;
        }
        self.context.report(batch);
        Ok(())
    }

    /// Deletes what the open unit is to delete of a range that is repaired.
    pub(super) fn delete_surplus(&mut self, walk: &mut SliceWalk) -> Result<(), Failure> {
        let Some(repair) = walk.repair.as_mut().filter(|repair| repair.deleted.is_none()) else {
            return Ok(());
        };
        let (rows, rejects) = repair.surplus();
        let Some(comparing) = &self.request.comparing else { return Ok(()) };
        let timestamp = &comparing.sides.target.timestamp;
        let (removed, kept) = load::remove_rows(&self.request.target, timestamp, rows)?;
        let dropped = ledger::drop_rejects(&rejects)?;
        repair.deleted = i64::try_from(removed + dropped).ok();
        if let Some(failure) = kept {
            self.context.warn(&format!("a surplus row was left: {}", failure.message));
        }
        Ok(())
    }

    /// Asks the source once, in the session that its pages are read in; outside, what is no matter of the
    /// source.
    fn ask_source<T: Send + 'static>(
        &mut self,
        walk: &SliceWalk,
        question: impl FnOnce(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<Result<T, SourceError>, Failure> {
        loop {
            self.context.check_stop()?;
            self.apply_changes_when_due(walk)?;
            if !has_session(&self.parking) {
                self.context.announce(&walk.slice, Phase::Connecting);
                self.in_unit(|puller| puller.way.ask())?;
            }
            self.context.announce(&walk.slice, Phase::Source);
            let purpose = format!("run={} worker={}", self.request.run_id, self.context.worker());
            let client = SourceClient::over(self.parking.clone(), self.way.connect(), &purpose)?;
            let pause_while = self.watch.source_limits().pause_while.clone();
            let question = question.clone();
            let answer = client.call(move |session| {
                if let Some(query) = pause_while
                    && session.ask(&query)?
                {
                    return Ok(None);
                }
                question(session).map(Some)
            })?;
            match answer {
                Ok(Some(answer)) => {
                    self.context.note_reading();
                    return Ok(Ok(answer));
                }
                Ok(None) => self.pause(walk)?,
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Waits because of `pause_while`, following changes of the pipeline's row.
    fn pause(&mut self, walk: &SliceWalk) -> Result<(), Failure> {
        self.context.announce(&walk.slice, Phase::Paused);
        let begun = Instant::now();
        while let Some(left) = PAUSE.checked_sub(begun.elapsed()) {
            latch::wait(None, left.min(POLL_INTERVAL));
            self.context.check_stop()?;
            if self.apply_changes_when_due(walk)? {
                break;
            }
        }
        Ok(())
    }
}

fn range_of(slice: &Slice) -> TimeRange {
    TimeRange { from: slice.interval.from.timestamp(), to: slice.interval.to.timestamp() }
}

/// A slice under comparison.
struct SliceInquiry<'a, C: ExecutionContext> {
    puller: &'a mut Puller<C>,
    walk: SliceWalk,
    /// Time spent in waiting for either side.
    on_source: Duration,
    on_stage: Duration,
}

impl<C: ExecutionContext> SliceInquiry<'_, C> {
    fn compare(&mut self, comparing: &Comparing) -> Result<(), Failure> {
        let bisected = match self.bisect(comparing, comparing.method.hashed) {
            Err(failure) if comparing.method.hashed && is_about_a_value(&failure.sqlstate) => {
                self.warn(&range_of(&self.walk.slice), &failure, "only their numbers are compared");
                self.bisect(comparing, false)?
            }
            bisected => bisected?,
        };
        for portion in portions(&comparing.sides, self, &bisected.differing)? {
            for range in self.rows(comparing, &portion)? {
                self.repair(comparing, range, &portion)?;
            }
        }
        Ok(())
    }

    fn bisect(&mut self, comparing: &Comparing, hashed: bool) -> Result<Bisected, Failure> {
        let sides = &comparing.sides;
        let known = self.puller.sums.take();
        let mut sums = known.unwrap_or_else(|| SourceSums::new(&sides.source));
        let slice = &self.walk.slice;
        let (range, rows) = (range_of(slice), slice.estimated_rows);
        let bisected =
            bisect(range, rows, |ranges| sums_of_both(sides, &mut sums, self, ranges, hashed));
        self.puller.sums = Some(sums);
        bisected
    }

    /// The ranges of a portion whose rows differ; none where they cannot be compared.
    fn rows(
        &mut self,
        comparing: &Comparing,
        portion: &Portion,
    ) -> Result<Vec<ComparedRange>, Failure> {
        let placed = comparing.method.surplus == Surplus::Delete;
        let table = self.puller.request.table.clone();
        let partition = self.walk.slice.partition.clone();
        let rows = (|| {
            let source =
                rows_of_source(&comparing.sides.source, &table, &partition, self, &portion.rows)?;
            let stage = self.on_stage(|| comparing.sides.stage_rows(&portion.rows, placed))?;
            Ok::<_, Failure>((source, stage))
        })();
        match rows {
            Ok((source, stage)) => Ok(compare(portion, source, stage)),
            Err(failure) if is_about_a_value(&failure.sqlstate) => {
                for range in &portion.ranges {
                    self.warn(range, &failure, "they are left as they are");
                }
                Ok(Vec::new())
            }
            Err(failure) => Err(failure),
        }
    }

    fn warn(&mut self, range: &TimeRange, failure: &Failure, what_follows: &str) {
        self.puller.context.warn(&format!(
            "statements of {} from {} to {} cannot be compared: {} (SQLSTATE {}); {what_follows}",
            self.walk.slice.partition, range.from, range.to, failure.message, failure.sqlstate
        ));
    }

    /// Repairs a range; one that changes meanwhile is compared anew.
    fn repair(
        &mut self,
        comparing: &Comparing,
        mut range: ComparedRange,
        portion: &Portion,
    ) -> Result<(), Failure> {
        let portion = portion.of(range.range);
        for _ in 0..TRIES {
            if comparing.method.dry_run {
                self.tell(&range);
                return Ok(());
            }
            let mut walk = SliceWalk::new(self.walk.slice.clone());
            walk.repair = Some(RangeRepair::new(&range, comparing, portion.rows.clone()));
            while !walk.is_done() {
                self.puller.advance(&mut walk)?;
                if walk.given_back {
                    self.walk.given_back = true;
                    return Err(given_back());
                }
            }
            if !walk.stale {
                return Ok(());
            }
            match self.rows(comparing, &portion)?.pop() {
                Some(again) => range = again,
                None => return Ok(()),
            }
        }
        self.puller.context.warn(&format!(
            "rows of {} from {} to {} change all the time; they are left as they are",
            self.walk.slice.partition, range.range.from, range.range.to
        ));
        Ok(())
    }

    /// Reports a range of which nothing is done.
    fn tell(&mut self, range: &ComparedRange) {
        let batch = Batch {
            slice_no: self.walk.slice.slice_no,
            worker: self.puller.context.worker(),
            range: Some(summary(range)),
            ..Batch::default()
        };
        self.puller.context.report(batch);
    }
}

/// How often a range is compared that changes all the time.
const TRIES: u32 = 3;

impl<C: ExecutionContext> Inquiry for SliceInquiry<'_, C> {
    fn ask<T: Send + 'static>(
        &mut self,
        divisible: bool,
        question: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<Option<T>, Failure> {
        let begun = Instant::now();
        let answer = self.puller.attempt(&mut self.walk, |puller, walk| {
            match puller.ask_source(walk, question.clone())? {
                Ok(answer) => Ok(Some(answer)),
                Err(error) if error.trouble != Trouble::StatementTimeout => {
                    Err(PullError::Source(error))
                }
                Err(_) if divisible => Ok(None),
                // It is asked again as it was: that counts as a retry.
                Err(error) => {
                    Err(PullError::Source(SourceError { trouble: Trouble::Transient, ..error }))
                }
            }
        });
        self.on_source += begun.elapsed();
        let answer = answer?.ok_or_else(given_back)?;
        self.puller.retry.succeeded();
        Ok(answer)
    }

    fn on_stage<T>(&mut self, question: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
        self.puller.context.check_stop()?;
        self.puller.context.announce(&self.walk.slice, Phase::Compare);
        let begun = Instant::now();
        let answer =
            self.puller.attempt(&mut self.walk, |puller, _| Ok(puller.in_unit(|_| question())?));
        self.on_stage += begun.elapsed();
        answer?.ok_or_else(given_back)
    }
}

/// Never told: who gets it sees that the slice was given back.
fn given_back() -> Failure {
    Failure::internal("the slice was given back")
}
