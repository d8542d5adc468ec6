//! The time of a batch, by what it was spent on.

use super::{Batch, Shares, words};
use std::ops::AddAssign;

/// What a worker spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Source,
    Transform,
    Insert,
    Lock,
    Commit,
    Throttle,
    Other,
}

impl Part {
    /// In the order in which they are shown.
    pub const ALL: [Part; 7] = [
        Part::Source,
        Part::Transform,
        Part::Insert,
        Part::Lock,
        Part::Commit,
        Part::Throttle,
        Part::Other,
    ];

    /// The word for it; that of the view `bottleneck`, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Part::Source => "source",
            Part::Transform => "transform",
            Part::Insert => "insert",
            Part::Lock => "lock",
            Part::Commit => "commit",
            Part::Throttle => "throttle",
            Part::Other => "other",
        }
    }

    /// What happens in it.
    pub fn meaning(self) -> &'static str {
        match self {
            Part::Source => "waiting for rows of the source",
            Part::Transform => "making values out of JSON",
            Part::Insert => "INSERT: heap, indexes, triggers, WAL",
            Part::Lock => "INSERT waiting for locks that others hold",
            Part::Commit => "COMMIT: flushing WAL, synchronous replicas",
            Part::Throttle => "held back by max_bytes_per_second or pause_while",
            Part::Other => "the ledger, and what was not measured",
        }
    }
}

/// An amount for each part: milliseconds, or shares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts([f64; Part::ALL.len()]);

impl Parts {
    pub fn get(&self, part: Part) -> f64 {
        self.0[part as usize]
    }

    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Each part times `factor`.
    pub fn scaled(&self, factor: f64) -> Parts {
        Parts(self.0.map(|amount| amount * factor))
    }

    /// How much of the whole a part is, 0 to 1.
    pub fn share(&self, part: Part) -> f64 {
        let total = self.total();
        if total > 0.0 { self.get(part) / total } else { 0.0 }
    }

    /// The two that make up most of it, the larger first: `insert 68.0 %, lock 20.1 %`.
    pub fn in_words(&self) -> String {
        const WORTH_A_WORD: f64 = 0.05;
        let mut parts = Part::ALL.to_vec();
        parts.sort_by(|a, b| self.get(*b).total_cmp(&self.get(*a)));
        let worth = parts.into_iter().take(2).filter(|part| self.share(*part) >= WORTH_A_WORD);
        let words = worth.map(|p| format!("{} {}", p.name(), words::percent(self.share(p))));
        words.collect::<Vec<_>>().join(", ")
    }

    /// The largest part; none where all are nothing.
    pub fn largest(&self) -> Option<Part> {
        let by_amount = |a: &Part, b: &Part| self.get(*a).total_cmp(&self.get(*b));
        Part::ALL.into_iter().max_by(by_amount).filter(|part| self.get(*part) > 0.0)
    }
}

impl AddAssign for Parts {
    fn add_assign(&mut self, other: Parts) {
        for (sum, amount) in self.0.iter_mut().zip(other.0) {
            *sum += amount;
        }
    }
}

impl From<&Batch> for Parts {
    fn from(batch: &Batch) -> Self {
        let [source, transform, lock, throttle] =
            [batch.source_wait_ms, batch.transform_ms, batch.lock_ms, batch.throttle_ms]
                .map(amount);
        let insert = (amount(batch.insert_ms) - lock).max(0.0);
        let commit = batch.commit_ms.map_or(0.0, amount);
        let known = source + transform + insert + lock + throttle;
        let other = (amount(batch.elapsed_ms) - known).max(0.0);
        Parts([source, transform, insert, lock, commit, throttle, other])
    }
}

impl From<&Shares> for Parts {
    fn from(shares: &Shares) -> Self {
        let Shares { source, transform, insert, commit, lock, throttle, .. } = *shares;
        Parts([source, transform, insert, lock, commit, throttle, 0.0].map(amount))
    }
}

/// An amount as it can be summed: what is no number, or less than nothing, counts as nothing.
fn amount(raw: f64) -> f64 {
    // Three hundred years of milliseconds.
    if raw.is_nan() { 0.0 } else { raw.clamp(0.0, 1e13) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_parts_of_a_batch_are_its_time_and_its_commit() {
        let batch = Batch {
            source_wait_ms: 100.0,
            transform_ms: 50.0,
            insert_ms: 300.0,
            lock_ms: 120.0,
            throttle_ms: 10.0,
            commit_ms: Some(7.0),
            elapsed_ms: 500.0,
            ..sample::batch()
        };
        let parts = Parts::from(&batch);
        assert_eq!(parts.get(Part::Insert), 180.0);
        assert_eq!(parts.get(Part::Lock), 120.0);
        assert_eq!(parts.get(Part::Other), 40.0);
        assert_eq!(parts.total(), 507.0);
        assert_eq!(parts.largest(), Some(Part::Insert));
    }

    #[test]
    fn what_is_no_time_counts_as_nothing() {
        let batch = Batch {
            source_wait_ms: f64::NAN,
            transform_ms: -5.0,
            insert_ms: f64::INFINITY,
            elapsed_ms: f64::NEG_INFINITY,
            ..sample::batch()
        };
        assert!(Parts::from(&batch).total().is_finite());
        assert_eq!(Parts::default().largest(), None);
        assert_eq!(Parts::default().share(Part::Insert), 0.0);
    }
}
