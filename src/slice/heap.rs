//! A heap read in the order of its blocks: what the slices of one scan have in common, and which
//! blocks are left.

use super::Interval;
use serde::{Deserialize, Serialize};

/// A scan of one partition's heap for the rows of an interval. Its blocks are shared out among
/// slices, of one run or of several; the interval counts as covered when all of them are read.
///
/// Each block is read in a snapshot of its own. What makes them one is that all slices take only
/// row versions that were written before [`Heap::horizon`]: an update moves its row into a
/// version that is none of them, so no row is taken twice. What was written from there on is looked
/// for when all blocks are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapScan {
    /// Its number in the ledger.
    pub scan_id: i64,
    /// The partition, as SQL writes it.
    pub partition: String,
    pub interval: Interval,
    pub heap: Heap,
}

/// A partition's heap when a scan of it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heap {
    /// The partition's oid on the source.
    pub relation: u32,
    /// The file that blocks are counted in: VACUUM FULL, CLUSTER and TRUNCATE write another.
    pub filenode: u32,
    /// The oldest transaction that was running then (64 bits, with its epoch).
    pub horizon: i64,
    /// What the source had counted of updates; `None` where it does not count them.
    pub updates: Option<String>,
}

/// The blocks of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// The scan that they belong to; see [`HeapScan::scan_id`].
    pub scan_id: i64,
    pub from: u32,
    /// `None`: to the end of the heap, whatever is appended meanwhile. Such a slice is the scan's
    /// last, and begins when all others are done.
    pub to: Option<u32>,
}

/// Blocks that one slice may have at least and at most: several pages, and so few that workers stay
/// side by side on the disk.
const LEAST: u32 = 1_024;
const MOST: u32 = 16_384;
/// A scan has no more slices than this, however large the heap.
const MOST_SLICES: u32 = 1_000;

/// Shares out what is left of a heap of `blocks` among `workers`: ranges, and one open end.
///
/// `done` are the ranges that have been read, in any order.
pub fn share_out(scan_id: i64, blocks: u32, done: &[(u32, u32)], workers: u32) -> Vec<Blocks> {
    let size = (blocks / workers.saturating_mul(4).max(1))
        .clamp(LEAST, MOST)
        .max(blocks.div_ceil(MOST_SLICES));
    let mut shared = Vec::new();
    let mut from = 0;
    let mut done = done.to_vec();
    done.sort_unstable();
    // A heap that was cut off since by VACUUM may have been read beyond its end.
    let end = done.iter().map(|(begin, _)| *begin).max().unwrap_or(0).max(blocks);
    for (gap_end, end) in done.into_iter().chain([(end, end)]) {
        while from < gap_end {
            // No crumb is left for a slice of its own.
            let to = if gap_end - from < size + size / 2 { gap_end } else { from + size };
            shared.push(Blocks { scan_id, from, to: Some(to) });
            from = to;
        }
        from = from.max(end);
    }
    shared.push(Blocks { scan_id, from, to: None });
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_small_heap_is_one_range_and_an_end() {
        let shared = share_out(7, 900, &[], 2);
        let expected = [
            Blocks { scan_id: 7, from: 0, to: Some(900) },
            Blocks { scan_id: 7, from: 900, to: None },
        ];
        assert_eq!(shared, expected);
    }

    #[test]
    fn an_empty_heap_is_an_end() {
        assert_eq!(share_out(1, 0, &[], 2), [Blocks { scan_id: 1, from: 0, to: None }]);
    }

    proptest! {
        #[test]
        fn each_block_is_left_once_or_done(
            blocks in 0u32..100_000, workers in 1u32..9,
            done in prop::collection::vec((0u32..100_000, 0u32..20_000), 0..6)
        ) {
            let done: Vec<(u32, u32)> = done.into_iter().map(|(a, n)| (a, a + n)).collect();
            let shared = share_out(1, blocks, &done, workers);
            let (last, ranges) = shared.split_last().unwrap();
            prop_assert_eq!(last.to, None);
            prop_assert!(shared.windows(2).all(|w| w[0].to.unwrap() <= w[1].from));
            prop_assert!(ranges.iter().all(|r| r.from < r.to.unwrap()));
            for block in (0..130_000).step_by(97) {
                let found = shared.iter()
                    .filter(|r| r.from <= block && r.to.is_none_or(|to| block < to)).count();
                let is_done = done.iter().any(|(a, b)| (*a..*b).contains(&block));
                prop_assert_eq!(found, usize::from(!is_done), "block {}", block);
            }
        }
    }
}
