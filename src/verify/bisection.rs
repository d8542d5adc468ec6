//! Where two sides differ: sums of many ranges at once, then of the parts of those that differ, down to ranges
//! that are small enough to be compared row by row.

use crate::source::{Checksum, TimeRange};
use chrono::TimeDelta;

/// What a range comes to, source and stage side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub source: Checksum,
    pub target: Checksum,
    pub rejected: Checksum,
}

impl Sums {
    /// Whether target and rejects together hold what the source holds.
    pub fn agree(&self) -> bool {
        self.stage() == self.source
    }

    fn stage(&self) -> Checksum {
        let mut stage = self.target;
        stage += self.rejected;
        stage
    }

    fn add(&mut self, other: &Sums) {
        self.source += other.source;
        self.target += other.target;
        self.rejected += other.rejected;
    }
}

/// A range, and what it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summed {
    pub range: TimeRange,
    pub sums: Sums,
}

/// What a slice comes to, and which ranges of it differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bisected {
    pub whole: Sums,
    /// Ascending.
    pub differing: Vec<Summed>,
}

/// A range with so many rows on either side is compared row by row.
const FEW_ROWS: i64 = 200;
/// The same where one side is empty, so that all rows of the other are wanted or surplus.
const ROWS_OF_ONE_SIDE: i64 = 2_000;
/// Rows that the parts of a range are to have.
const ROWS_A_PART: i64 = 100;
/// The parts of one range.
const MOST_PARTS: i64 = 256;
/// Ranges that are asked for at once.
const AT_ONCE: usize = 4_096;

/// Finds the ranges of `whole`, which has some `rows`, in which the two sides differ. `ask` tells what ranges
/// come to, which ascend and do not overlap.
///
/// # Errors
/// Those of `ask`.
pub fn bisect<E>(
    whole: TimeRange,
    rows: i64,
    mut ask: impl FnMut(&[TimeRange]) -> Result<Vec<Sums>, E>,
) -> Result<Bisected, E> {
    let mut found = Bisected::default();
    let mut ranges = split(whole, rows);
    let mut is_first = true;
    while !ranges.is_empty() {
        let mut parts = Vec::new();
        for some in ranges.chunks(AT_ONCE) {
            for (range, sums) in some.iter().zip(ask(some)?) {
                if is_first {
                    found.whole.add(&sums);
                }
                let summed = Summed { range: *range, sums };
                if sums.agree() {
                    continue;
                }
                if summed.is_small() {
                    found.differing.push(summed);
                } else {
                    parts.extend(split(*range, summed.most_rows()));
                }
            }
        }
        is_first = false;
        ranges = parts;
    }
    found.differing.sort_by_key(|summed| summed.range.from);
    Ok(found)
}

impl Summed {
    /// Rows of the side that has more.
    pub fn most_rows(&self) -> i64 {
        self.sums.source.rows.max(self.sums.stage().rows)
    }

    fn is_small(&self) -> bool {
        let least = self.sums.source.rows.min(self.sums.stage().rows);
        let few = if least == 0 { ROWS_OF_ONE_SIDE } else { FEW_ROWS };
        self.most_rows() <= few || micros(self.range) <= 1
    }
}

fn micros(range: TimeRange) -> i64 {
    (range.to - range.from).num_microseconds().unwrap_or(i64::MAX)
}

/// Cuts a range with some `rows` into parts of equal length, two at least where it can be divided.
fn split(range: TimeRange, rows: i64) -> Vec<TimeRange> {
    let parts = (rows / ROWS_A_PART).clamp(2, MOST_PARTS);
    let length = micros(range);
    let step = (length / parts + i64::from(length % parts > 0)).max(1);
    let mut ranges = Vec::new();
    let mut from = range.from;
    while from < range.to {
        let next = from.checked_add_signed(TimeDelta::microseconds(step));
        let to = next.map_or(range.to, |next| next.min(range.to));
        ranges.push(TimeRange { from, to });
        from = to;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn range(from: i64, to: i64) -> TimeRange {
        let at = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        TimeRange { from: at(from), to: at(to) }
    }

    fn bounds(range: TimeRange) -> (i64, i64) {
        (range.from.timestamp_micros(), range.to.timestamp_micros())
    }

    fn sum(rows: &[i64], range: TimeRange) -> Checksum {
        let (from, to) = bounds(range);
        let keys = rows.iter().filter(|row| (from..to).contains(*row));
        keys.fold(Checksum::default(), |mut sum, key| {
            // As good as the server's hash: no two sets of keys are likely to have the same sum.
            let mixed = (*key as i128 + 1).pow(5) % 1_000_003;
            sum += Checksum { rows: 1, keys: mixed, hash: 0 };
            sum
        })
    }

    proptest! {
        #[test]
        fn each_difference_is_in_one_small_range_and_others_in_none(
            common in prop::collection::vec(0i64..5_000, 0..900),
            source in prop::collection::vec(0i64..5_000, 0..20),
            stage in prop::collection::vec(0i64..5_000, 0..20),
            ties in 0usize..600,
        ) {
            let both = [common, vec![77; ties]].concat();
            let (left, right) = ([both.clone(), source].concat(), [both, stage].concat());
            let whole = range(0, 5_000);
            let ask = |ranges: &[TimeRange]| Ok::<_, ()>(ranges.iter().map(|range| Sums {
                source: sum(&left, *range), target: sum(&right, *range), rejected: Checksum::default(),
            }).collect());
            let found = bisect(whole, left.len() as i64, ask).unwrap();
            prop_assert_eq!(found.whole.source.rows, left.len() as i64);
            for key in 0..5_000 {
                let of = |rows: &[i64]| rows.iter().filter(|row| **row == key).count();
                let holding = found.differing.iter().filter(|summed| {
                    let (from, to) = bounds(summed.range);
                    (from..to).contains(&key)
                }).count();
                prop_assert!(holding <= 1);
                prop_assert!(of(&left) == of(&right) || holding == 1, "{}", key);
            }
            prop_assert!(found.differing.iter().all(|s| s.is_small() && !s.sums.agree()));
            prop_assert!(found.differing.windows(2).all(|w| w[0].range.to <= w[1].range.from));
        }

        #[test]
        fn parts_tile_their_range(from in -50i64..50, length in 1i64..10_000, rows in 0i64..1_000_000) {
            let parts = split(range(from, from + length), rows);
            prop_assert_eq!(bounds(parts[0]).0, from);
            prop_assert_eq!(bounds(*parts.last().unwrap()).1, from + length);
            prop_assert!(parts.windows(2).all(|w| w[0].to == w[1].from));
            prop_assert!(parts.len() <= 256 && (parts.len() > 1 || length == 1));
        }
    }
}
