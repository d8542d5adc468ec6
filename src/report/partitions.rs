//! A run's slices and batches summed by partition.

use super::parts::Parts;
use super::{Facts, Slice, SliceState};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// What was pulled of one partition.
#[derive(Clone, Debug, Default)]
pub struct PartitionSum {
    pub partition: String,
    /// Where its first slice begins.
    pub from: Option<DateTime<Utc>>,
    pub slices: i64,
    pub slices_done: i64,
    pub rows: i64,
    pub rejected: i64,
    pub bytes: i64,
    pub retries: i64,
    /// Milliseconds of all workers.
    pub parts: Parts,
    /// Rows that `parts` were spent on.
    pub timed_rows: f64,
}

impl PartitionSum {
    /// Microseconds that a row took; none where nothing was measured.
    pub fn micros_a_row(&self) -> Option<f64> {
        (self.timed_rows > 0.0).then(|| self.parts.total() * 1e3 / self.timed_rows)
    }

    fn add(&mut self, slice: &Slice) {
        self.from = self.from.into_iter().chain([slice.from]).min();
        self.slices += 1;
        self.slices_done += i64::from(slice.state == SliceState::Done);
        self.rows = self.rows.saturating_add(slice.rows);
        self.rejected = self.rejected.saturating_add(slice.rejected);
        self.bytes = self.bytes.saturating_add(slice.bytes);
        self.retries = self.retries.saturating_add(slice.retries);
    }

    fn merge(&mut self, other: PartitionSum) {
        self.slices += other.slices;
        self.slices_done += other.slices_done;
        self.rows = self.rows.saturating_add(other.rows);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.retries = self.retries.saturating_add(other.retries);
        self.parts += other.parts;
        self.timed_rows += other.timed_rows;
    }
}

/// The sums in the order of time, at most `most`: the last ones of more are one, named by their
/// number.
pub fn partitions(facts: &Facts, most: usize) -> Vec<PartitionSum> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut by_slice: HashMap<i32, usize> = HashMap::new();
    let mut sums: Vec<PartitionSum> = Vec::new();
    for slice in &facts.slices {
        let place = *places.entry(&slice.partition).or_insert_with(|| {
            sums.push(PartitionSum { partition: slice.partition.clone(), ..Default::default() });
            sums.len() - 1
        });
        by_slice.insert(slice.slice_no, place);
        sums[place].add(slice);
    }
    for batch in &facts.batches {
        if let Some(place) = by_slice.get(&batch.slice_no) {
            sums[*place].parts += Parts::from(batch);
            sums[*place].timed_rows += batch.handled();
        }
    }
    sums.sort_by(|a, b| (a.from, &a.partition).cmp(&(b.from, &b.partition)));
    if sums.len() > most && most > 0 {
        let rest = sums.split_off(most - 1);
        let partition = format!("… and {} others", rest.len());
        let mut others = PartitionSum { partition, ..Default::default() };
        rest.into_iter().for_each(|sum| others.merge(sum));
        sums.push(others);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{any, sample};
    use proptest::prelude::*;

    #[test]
    fn partitions_come_in_the_order_of_time() {
        let names: Vec<String> =
            partitions(&sample::run(50), 9).into_iter().map(|p| p.partition).collect();
        let wanted = ["03", "04", "05", "06", "07"].map(|m| format!("acid.lrs_statement_2025_{m}"));
        assert_eq!(names, wanted);
    }

    #[test]
    fn too_many_are_summed_up() {
        let sums = partitions(&sample::run(50), 3);
        assert_eq!(sums.len(), 3);
        assert_eq!(sums[2].partition, "… and 3 others");
        let run = sample::run(50).run;
        assert_eq!(sums.iter().map(|p| p.rows).sum::<i64>(), run.rows);
    }

    proptest! {
        #[test]
        fn every_slice_counts_once(facts in any::facts(), most in 1usize..6) {
            let sums = partitions(&facts, most);
            prop_assert!(sums.len() <= most);
            let slices: i64 = sums.iter().map(|p| p.slices).sum();
            prop_assert_eq!(slices, facts.slices.len() as i64);
        }
    }
}
