//! The time of a batch, by what it was spent on.

use super::facts::{Batch, Shares};
use super::words;
use std::ops::AddAssign;

/// What a worker spends its time on: the steps of the view `bottleneck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Source,
    Transform,
    Insert,
    Lock,
    Commit,
    Throttle,
}

impl Part {
    /// In the order in which they are shown.
    pub const ALL: [Part; 6] =
        [Part::Source, Part::Transform, Part::Insert, Part::Lock, Part::Commit, Part::Throttle];

    pub fn name(self) -> &'static str {
        match self {
            Part::Source => "source",
            Part::Transform => "transform",
            Part::Insert => "insert",
            Part::Lock => "lock",
            Part::Commit => "commit",
            Part::Throttle => "throttle",
        }
    }

    /// What happens in it.
    pub fn description(self) -> &'static str {
        match self {
            Part::Source => "waiting for rows of the source",
            Part::Transform => "making values out of JSON",
            Part::Insert => "INSERT: heap, indexes, triggers",
            Part::Lock => "waiting for locks that others hold",
            Part::Commit => "COMMIT and the ledger's own rows",
            Part::Throttle => "held back by a rate limit or pause_while",
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
        let mut parts = Part::ALL;
        parts.sort_by(|a, b| self.get(*b).total_cmp(&self.get(*a)));
        let worth = parts.into_iter().take(2).filter(|part| self.share(*part) >= WORTH_A_WORD);
        let words = worth.map(|p| format!("{} {}", p.name(), words::percent(self.share(p))));
        words.collect::<Vec<_>>().join(", ")
    }
}

impl AddAssign for Parts {
    fn add_assign(&mut self, other: Parts) {
        for (sum, amount) in self.0.iter_mut().zip(other.0) {
            *sum += amount;
        }
    }
}

/// As the view `bottleneck` has it: a wait for a lock is no insert, and what no step accounts for
/// is the commit's.
impl From<&Batch> for Parts {
    fn from(batch: &Batch) -> Self {
        let [source, transform, insert, lock, throttle, elapsed] = [
            batch.source_wait_ms,
            batch.transform_ms,
            batch.insert_ms,
            batch.lock_ms,
            batch.throttle_ms,
            batch.elapsed_ms,
        ]
        .map(amount);
        let stated = batch.commit_ms.map_or(0.0, amount);
        let rest = elapsed - source - transform - throttle - insert.max(lock) - stated;
        let commit = stated + rest.max(0.0);
        Parts([source, transform, (insert - lock).max(0.0), lock, commit, throttle])
    }
}

impl From<&Shares> for Parts {
    fn from(shares: &Shares) -> Self {
        let Shares { source, transform, insert, commit, lock, throttle, .. } = *shares;
        Parts([source, transform, insert, lock, commit, throttle].map(amount))
    }
}

/// An amount as it can be summed and drawn; three hundred years of milliseconds at most.
fn amount(raw: f64) -> f64 {
    raw.clamp(0.0, 1e13)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_parts_of_a_batch_are_its_time() {
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
        assert_eq!(parts.get(Part::Commit), 40.0);
        assert_eq!(parts.total(), 500.0);
        assert_eq!(parts.in_words(), "insert 36.0 %, lock 24.0 %");
        assert_eq!(Parts::default().share(Part::Insert), 0.0);
    }
}
