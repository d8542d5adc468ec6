//! How a period becomes slices: cut at the partitions' bounds and every `slice_width`, minus what
//! is covered.

use super::{Blocks, Edge, Interval, Position, Width, subtract};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A stretch of time whose rows live in one partition (or one sub-tree that is not cut by time).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub partition: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// How much of a slice earlier runs have covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceState {
    Todo,
    Partial,
    Done,
}

impl SliceState {
    /// The word in the `state` column of `plan`.
    pub fn as_str(self) -> &'static str {
        match self {
            SliceState::Todo => "todo",
            SliceState::Partial => "partial",
            SliceState::Done => "done",
        }
    }
}

/// A slice of the plan and what of it is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSlice {
    pub partition: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub left: Vec<Interval>,
}

impl PlannedSlice {
    /// All of it, pulled or not.
    pub fn whole(&self) -> Interval {
        Interval::new(Edge::Before(self.from), Edge::Before(self.to))
    }

    pub fn state(&self) -> SliceState {
        match self.left.as_slice() {
            [] => SliceState::Done,
            [one] if *one == self.whole() => SliceState::Todo,
            _ => SliceState::Partial,
        }
    }
}

/// A part of a period, inside one partition of the source; what workers claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Counts from 1 within its run.
    pub slice_no: i32,
    pub partition: String,
    pub interval: Interval,
    /// The blocks of a heap that is read in its own order; `None`: walked by key.
    pub blocks: Option<Blocks>,
    /// Walked by windows of keys, each read in the order of the heap.
    pub in_windows: bool,
    /// Pulled before, and now compared with the source.
    pub compared: bool,
    /// The source's estimate.
    pub estimated_rows: i64,
    /// What the plan warned of.
    pub warning: Option<String>,
    /// Which way it is walked, and why, in words.
    pub walk: Option<String>,
}

impl Slice {
    /// Where its walk begins.
    pub fn begin(&self) -> Position {
        match self.blocks {
            Some(blocks) => Position::Block(blocks.from),
            None => Position::Key(self.interval.from),
        }
    }

    /// The scan of which this is the last slice.
    pub fn ends_scan(&self) -> Option<i64> {
        self.blocks.filter(|blocks| blocks.to.is_none()).map(|blocks| blocks.scan_id)
    }
}

/// More slices than this gain nothing; a longer period gets wider slices.
const MOST_SLICES: u32 = 10_000;

/// Cuts `[from, to)` into slices: at the bounds of `segments`, and inside a segment every `width`
/// counted from the segment's start, so that the same cuts come out whatever the period is.
///
/// `segments` must be ascending and disjoint; time outside of them holds no rows.
pub fn lay_out(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    segments: &[Segment],
    width: Width,
    covered: &[Interval],
) -> Vec<PlannedSlice> {
    let mut slices = Vec::new();
    // Whatever the segments are, no time is laid out twice.
    let mut reached = from;
    for segment in segments {
        let begin = segment.from.max(reached);
        let end = segment.to.min(to);
        let mut position = begin;
        let mut n = first_cut(segment.from, width, begin);
        while position < end {
            n += 1;
            let cut = if n >= MOST_SLICES { end } else { next_cut(segment.from, width, n, end) };
            if cut > position {
                let whole = Interval::new(Edge::Before(position), Edge::Before(cut));
                slices.push(PlannedSlice {
                    partition: segment.partition.clone(),
                    from: position,
                    to: cut,
                    left: subtract(whole, covered),
                });
                position = cut;
            }
        }
        reached = reached.max(end);
    }
    slices
}

/// The number of the last cut at or before `begin`.
fn first_cut(start: DateTime<Utc>, width: Width, begin: DateTime<Utc>) -> u32 {
    let (mut low, mut high) = (0, MOST_SLICES);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        match width.times_after(start, middle) {
            Some(cut) if cut <= begin => low = middle,
            _ => high = middle,
        }
    }
    low
}

fn next_cut(start: DateTime<Utc>, width: Width, n: u32, end: DateTime<Utc>) -> DateTime<Utc> {
    width.times_after(start, n).map_or(end, |cut| cut.min(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(n: u32) -> DateTime<Utc> {
        Width { months: 0, days: 1, micros: 0 }
            .times_after("2025-03-01T00:00:00Z".parse().unwrap(), n)
            .unwrap()
    }

    fn segment(name: &str, from: u32, to: u32) -> Segment {
        Segment { partition: name.into(), from: day(from), to: day(to) }
    }

    const TEN_DAYS: Width = Width { months: 0, days: 10, micros: 0 };

    #[test]
    fn slices_end_at_partition_bounds() {
        let segments = [segment("a", 0, 31), segment("b", 31, 61)];
        let slices = lay_out(day(5), day(40), &segments, TEN_DAYS, &[]);
        let bounds: Vec<_> = slices.iter().map(|s| (s.partition.as_str(), s.from, s.to)).collect();
        assert_eq!(
            bounds,
            [
                ("a", day(5), day(10)),
                ("a", day(10), day(20)),
                ("a", day(20), day(30)),
                ("a", day(30), day(31)),
                ("b", day(31), day(40)),
            ]
        );
        assert!(slices.iter().all(|s| s.state() == SliceState::Todo));
    }

    #[test]
    fn a_covered_part_makes_a_slice_partial() {
        let covered = [Interval::new(Edge::Before(day(0)), Edge::After(day(4), 3))];
        let slices = lay_out(day(0), day(20), &[segment("a", 0, 31)], TEN_DAYS, &covered);
        assert_eq!(slices[0].state(), SliceState::Partial);
        assert_eq!(slices[0].left, [Interval::new(Edge::After(day(4), 3), Edge::Before(day(10)))]);
        assert_eq!(slices[1].state(), SliceState::Todo);
    }

    proptest! {
        #[test]
        fn slices_tile_the_period_inside_the_segments(
            from in 0u32..80, length in 1u32..80, days in 1u64..40, gap in 0u32..5
        ) {
            let segments = [segment("a", 0, 30), segment("b", 30 + gap, 90)];
            let width = Width { months: 0, days, micros: 0 };
            let slices = lay_out(day(from), day(from + length), &segments, width, &[]);
            for hour in 0..(24 * 170) {
                let t = day(0) + chrono::TimeDelta::hours(hour);
                let wanted = t >= day(from) && t < day(from + length)
                    && segments.iter().any(|s| t >= s.from && t < s.to);
                let found = slices.iter().filter(|s| t >= s.from && t < s.to).count();
                prop_assert_eq!(found, usize::from(wanted));
            }
        }
    }
}
