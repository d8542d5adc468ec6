//! The course of a run: its batches summed over equal stretches of time.

use super::facts::{Batch, Facts};
use super::parts::Parts;
use super::words::seconds_between;
use chrono::{DateTime, TimeDelta, Utc};

/// A run's time, cut into stretches of the same length.
#[derive(Debug)]
pub struct Course {
    pub from: DateTime<Utc>,
    /// Seconds from begin to end; more than 0.
    pub seconds: f64,
    pub bins: Vec<Bin>,
}

/// What the batches did in one stretch. A batch that spans several counts in each with the share
/// of its time that it spent there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bin {
    /// Batches; one that is half in this stretch counts 0.5.
    pub batches: f64,
    /// Rows that the target took.
    pub rows: f64,
    /// Milliseconds.
    pub parts: Parts,
}

impl Bin {
    /// What a batch of this stretch took, in milliseconds; none where no batch was at work.
    pub fn parts_of_a_batch(&self) -> Option<Parts> {
        (self.batches > 1e-9).then(|| self.parts.scaled(1.0 / self.batches))
    }
}

impl Course {
    /// Sums the batches in at most `most` stretches; none where there is no batch.
    pub fn new(facts: &Facts, most: usize) -> Option<Course> {
        if facts.batches.is_empty() || most == 0 {
            return None;
        }
        let from = facts.run.started_at;
        let seconds = facts.seconds().max(1e-3);
        // Some for each batch, so that short runs show their edges too.
        let bins = most.min(facts.batches.len().saturating_mul(8));
        let mut course = Course { from, seconds, bins: vec![Bin::default(); bins] };
        facts.batches.iter().for_each(|batch| course.add(batch));
        Some(course)
    }

    /// Seconds of one stretch.
    pub fn bin_seconds(&self) -> f64 {
        self.seconds / self.bins.len() as f64
    }

    /// Rows a second over all of it.
    pub fn mean_rate(&self) -> f64 {
        self.bins.iter().map(|bin| bin.rows).sum::<f64>() / self.seconds
    }

    /// When stretch `n` begins.
    pub fn begin_of(&self, n: usize) -> DateTime<Utc> {
        let millis = (n as f64 * self.bin_seconds() * 1e3) as i64;
        let begin = TimeDelta::try_milliseconds(millis)
            .and_then(|since| self.from.checked_add_signed(since));
        begin.unwrap_or(self.from)
    }

    fn add(&mut self, batch: &Batch) {
        let parts = Parts::from(batch);
        let whole = Bin { batches: 1.0, rows: batch.rows.max(0) as f64, parts };
        // From its begin to the end of its commit, as far as that is inside the run.
        let recorded = seconds_between(self.from, batch.finished_at);
        let commit = batch.commit_ms.unwrap_or(0.0) / 1e3;
        let end = (recorded + commit).clamp(0.0, self.seconds);
        let begin = (recorded + commit - parts.total() / 1e3).clamp(0.0, end);
        let last = self.bins.len() - 1;
        let bin_seconds = self.bin_seconds();
        let bin_at = |second: f64| ((second / bin_seconds) as usize).min(last);
        let (first, last) = (bin_at(begin), bin_at(end));
        if first == last {
            self.bins[first].take(&whole, 1.0);
            return;
        }
        let mut left = 1.0;
        for n in first..last {
            let until = (n + 1) as f64 * bin_seconds;
            let inside = (until - begin.max(n as f64 * bin_seconds)) / (end - begin);
            let share = inside.clamp(0.0, left);
            self.bins[n].take(&whole, share);
            left -= share;
        }
        self.bins[last].take(&whole, left);
    }
}

impl Bin {
    fn take(&mut self, whole: &Bin, share: f64) {
        self.batches += whole.batches * share;
        self.rows += whole.rows * share;
        self.parts += whole.parts.scaled(share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::parts::Part;
    use crate::report::sample;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs()))
    }

    proptest! {
        #[test]
        fn bins_conserve_sums(facts in sample::any_facts(), most in 1usize..250) {
            let Some(course) = Course::new(&facts, most) else {
                prop_assert!(facts.batches.is_empty());
                return Ok(());
            };
            prop_assert!(course.bins.len() <= most);
            let sum = |of: fn(&Bin) -> f64| course.bins.iter().map(of).sum::<f64>();
            let of_batches = |of: fn(&Batch) -> f64| facts.batches.iter().map(of).sum::<f64>();
            prop_assert!(close(sum(|b| b.batches), facts.batches.len() as f64));
            prop_assert!(close(sum(|b| b.rows), of_batches(|b| b.rows.max(0) as f64)));
            prop_assert!(close(sum(|b| b.parts.total()), of_batches(|b| Parts::from(b).total())));
        }
    }

    #[test]
    fn a_batch_counts_where_it_spent_its_time() {
        let mut facts = sample::slowing(16);
        facts.batches.truncate(1);
        let started = facts.run.started_at;
        facts.run.finished_at = Some(started + TimeDelta::seconds(8));
        facts.batches[0] = Batch {
            finished_at: started + TimeDelta::seconds(6),
            rows: 400,
            rejected: 0,
            insert_ms: 3_000.0,
            elapsed_ms: 4_000.0,
            ..sample::batch()
        };
        let course = Course::new(&facts, 4).unwrap();
        let rows: Vec<f64> = course.bins.iter().map(|bin| bin.rows).collect();
        assert_eq!(rows, [0.0, 200.0, 200.0, 0.0]);
        assert!(course.bins[0].parts_of_a_batch().is_none());
        let of_a_batch = course.bins[1].parts_of_a_batch().unwrap();
        assert_eq!(of_a_batch.get(Part::Insert), 3_000.0);
        assert_eq!(course.begin_of(1), started + TimeDelta::seconds(2));
    }
}
