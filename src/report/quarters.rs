//! The run in four: did a row cost more at the end than at the beginning?

use super::Facts;
use super::parts::{Part, Parts};
use super::words;

/// A quarter of the run's rows, in the order in which they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quarter {
    pub batches: usize,
    /// Rows to the target and to `reject`.
    pub rows: f64,
    pub bytes: f64,
    /// Milliseconds of all workers.
    pub parts: Parts,
}

impl Quarter {
    /// Microseconds that a row took, by part.
    pub fn micros_a_row(&self) -> Parts {
        self.parts.scaled(if self.rows > 0.0 { 1e3 / self.rows } else { 0.0 })
    }

    pub fn bytes_a_row(&self) -> f64 {
        if self.rows > 0.0 { self.bytes / self.rows } else { 0.0 }
    }
}

/// Fewer batches than this tell nothing about a trend.
const ENOUGH_BATCHES: usize = 12;
/// Measured again, the same work differs by this much.
const NOISE: f64 = 1.2;

/// How the cost of a row changed from the first quarter to the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drift {
    /// Too few batches to tell.
    Unknown,
    Steady,
    Faster,
    Slower {
        /// The part that grew most, by the time that it takes.
        part: Part,
        /// Whether rows simply became as much larger.
        larger_rows: bool,
    },
}

/// The four quarters of a run.
#[derive(Debug)]
pub struct Quarters {
    pub quarters: [Quarter; 4],
    /// How many times as long a row of the last quarter took as one of the first.
    pub ratio: f64,
    pub drift: Drift,
}

impl Quarters {
    /// Cuts the run's batches, in the order in which they finished, into four of about as many
    /// rows. None where fewer than four batches have rows.
    pub fn new(facts: &Facts) -> Option<Quarters> {
        let batches = facts.batches_in_order();
        let with_rows: Vec<_> = batches.into_iter().filter(|b| b.handled() > 0.0).collect();
        if with_rows.len() < 4 {
            return None;
        }
        let total: f64 = with_rows.iter().map(|b| b.handled()).sum();
        let mut quarters = [Quarter::default(); 4];
        let mut before = 0.0;
        for batch in &with_rows {
            let rows = batch.handled();
            let middle = before + rows / 2.0;
            let quarter = &mut quarters[((4.0 * middle / total) as usize).min(3)];
            quarter.batches += 1;
            quarter.rows += rows;
            quarter.bytes += batch.bytes.max(0) as f64;
            quarter.parts += Parts::from(*batch);
            before += rows;
        }
        let [first, .., last] = &quarters;
        let ratio = last.micros_a_row().total() / first.micros_a_row().total();
        let drift = match with_rows.len() {
            // One batch as large as all others leaves a quarter empty.
            ENOUGH_BATCHES.. if ratio.is_finite() && ratio > 0.0 => drift(first, last, ratio),
            _ => Drift::Unknown,
        };
        Some(Quarters { quarters, ratio, drift })
    }

    pub fn first(&self) -> &Quarter {
        &self.quarters[0]
    }

    pub fn last(&self) -> &Quarter {
        &self.quarters[3]
    }

    /// The answer in a sentence or two.
    pub fn sentence(&self) -> String {
        let first = self.first().micros_a_row();
        let last = self.last().micros_a_row();
        let [from, to] = [first, last].map(|parts| words::span(parts.total() / 1e6));
        match self.drift {
            Drift::Unknown => "Too few batches to tell whether it slowed down.".to_owned(),
            Drift::Steady => {
                format!("Steady: a row took {from} in the first quarter, {to} in the last.")
            }
            Drift::Faster => format!(
                "It became faster: a row took {from} in the first quarter, {to} in the last."
            ),
            Drift::Slower { part, larger_rows } => {
                let [part_from, part_to] =
                    [first, last].map(|parts| words::span(parts.get(part) / 1e6));
                let why = if larger_rows {
                    "; rows became as much larger".to_owned()
                } else {
                    format!("; {} grew most, {part_from} to {part_to}", part.name())
                };
                let times = words::times(self.ratio);
                format!(
                    "It slowed down: a row took {from} in the first quarter, {to} in the last \
                     ({times}){why}."
                )
            }
        }
    }
}

fn drift(first: &Quarter, last: &Quarter, ratio: f64) -> Drift {
    if ratio < 1.0 / NOISE {
        return Drift::Faster;
    }
    if ratio < NOISE {
        return Drift::Steady;
    }
    let (before, after) = (first.micros_a_row(), last.micros_a_row());
    let growth = |part: &Part| after.get(*part) - before.get(*part);
    let part = Part::ALL.into_iter().max_by(|a, b| growth(a).total_cmp(&growth(b)));
    let larger = last.bytes_a_row() / first.bytes_a_row();
    Drift::Slower { part: part.unwrap_or(Part::Other), larger_rows: larger > ratio / NOISE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Batch, any, sample};
    use proptest::prelude::*;

    #[test]
    fn an_insert_that_grows_is_named() {
        let quarters = Quarters::new(&sample::slowing(200)).unwrap();
        assert_eq!(quarters.drift, Drift::Slower { part: Part::Insert, larger_rows: false });
        assert!(quarters.ratio > 1.5, "{}", quarters.ratio);
        assert!(quarters.sentence().contains("insert grew most"), "{}", quarters.sentence());
    }

    #[test]
    fn larger_rows_are_no_slowdown_of_the_machine() {
        let mut facts = sample::run(200);
        for (n, batch) in facts.batches.iter_mut().enumerate() {
            let factor = 1.0 + n as f64 / 100.0;
            batch.bytes = (batch.rows as f64 * 2_000.0 * factor) as i64;
            batch.insert_ms = 1_000.0 * factor;
            batch.elapsed_ms = 1_100.0 * factor;
        }
        let quarters = Quarters::new(&facts).unwrap();
        assert!(matches!(quarters.drift, Drift::Slower { larger_rows: true, .. }));
    }

    #[test]
    fn a_steady_run_is_called_steady() {
        assert_eq!(Quarters::new(&sample::run(200)).unwrap().drift, Drift::Steady);
    }

    #[test]
    fn few_batches_tell_nothing() {
        assert!(Quarters::new(&sample::run(3)).is_none());
        assert_eq!(Quarters::new(&sample::slowing(8)).unwrap().drift, Drift::Unknown);
    }

    proptest! {
        #[test]
        fn every_batch_with_rows_is_in_one_quarter(facts in any::facts()) {
            let with_rows = facts.batches.iter().filter(|b| b.handled() > 0.0);
            let Some(quarters) = Quarters::new(&facts) else {
                prop_assert!(with_rows.count() < 4);
                return Ok(());
            };
            let counted: usize = quarters.quarters.iter().map(|q| q.batches).sum();
            prop_assert_eq!(counted, with_rows.clone().count());
            let rows: f64 = quarters.quarters.iter().map(|q| q.rows).sum();
            let all: f64 = with_rows.map(Batch::handled).sum();
            prop_assert!((rows - all).abs() <= 1e-6 * (1.0 + all));
            quarters.sentence();
        }
    }
}
