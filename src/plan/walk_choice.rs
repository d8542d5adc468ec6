//! Which way a part of a partition is walked: in the order of keys, or in that of the heap.

use crate::ledger::WalkMode;
use crate::source::{Costs, KeyIndex, KeyStatistics, Leaf};

/// How a part of a partition is walked.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkChoice {
    pub way: Way,
    /// In words: why, and the blocks that either way reads.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the index, row after row in the order of keys.
    Key,
    /// By the index, windows of keys, the rows of each in the order of the heap.
    Window,
    /// Block after block.
    Heap,
}

/// The heap is read only where that is so much less: the estimates are rough, and a walk by key can be
/// cut off and go on anywhere.
const WORTHWHILE: f64 = 0.6;
/// From here on, what is out of order is near its place, and the planner's interpolation makes too much
/// of it.
const GOOD_CORRELATION: f64 = 0.9;
/// More rows of one timestamp than a page has: where the index has the timestamp alone, each page of them
/// reads all of them, as has no window.
const MANY_TIES: f64 = 5_000.0;
/// Of a partition: less of it is not worth reading all of it because of its ties.
const LARGE_SHARE: f64 = 0.3;
/// Why a choice is not reckoned.
pub const NO_STATISTICS: &str = "the source has no statistics that this user may read";
/// Below this, rows of neighbouring keys lie on unrelated blocks.
pub(super) const POOR_CORRELATION: f64 = 0.7;

/// Chooses for `rows` of a leaf, in whose heap the key lies as `key` says, and which
/// has such an index, or none.
pub fn choose(
    mode: WalkMode,
    leaf: &Leaf,
    key: Option<KeyStatistics>,
    rows: f64,
    costs: Costs,
    index: KeyIndex,
) -> WalkChoice {
    // A window of timestamps is sorted by nothing.
    let pages = if index == KeyIndex::TimestampAlone { Way::Window } else { Way::Key };
    let by_key = |reason: String, way| WalkChoice { way, reason };
    if let Some(obstacle) = leaf.obstacle {
        return by_key(format!("by key: {obstacle}"), pages);
    }
    let heap = |why: &str| WalkChoice { way: Way::Heap, reason: format!("by heap: {why}") };
    if mode == WalkMode::Auto && index == KeyIndex::Missing {
        return heap("no index serves a walk by key");
    }
    let Some(KeyStatistics { correlation, ties }) = key else {
        return match mode {
            WalkMode::Heap => heap("walk = 'heap'"),
            _ => by_key(format!("by key: {NO_STATISTICS}"), pages),
        };
    };
    let correlation = f64::from(correlation);
    let all = if leaf.rows > 0.0 { leaf.rows } else { rows };
    if mode == WalkMode::Auto
        && index == KeyIndex::TimestampAlone
        && ties > MANY_TIES
        && rows > all * LARGE_SHARE
    {
        return heap(&format!(
            "{ties:.0} rows share a timestamp, and no index has both columns of the key"
        ));
    }
    let blocks = f64::from(leaf.blocks);
    let random = blocks_at_random(rows, blocks, costs.cached_blocks);
    let ordered = (blocks * (rows / all.max(1.0)).min(1.0)).ceil();
    let order = correlation * correlation;
    let key_blocks = order * ordered + (1.0 - order) * random;
    let key_cost = order * ordered * costs.seq_page + (1.0 - order) * random * costs.random_page;
    let heap_cost = blocks * costs.heap_page;
    let figures = format!(
        "about {key_blocks:.0} blocks of the partition by key, {blocks:.0} by heap; correlation {correlation:.2}"
    );
    let key_way = if correlation.abs() < POOR_CORRELATION { Way::Window } else { pages };
    match mode {
        WalkMode::Heap => heap(&format!("walk = 'heap'; {figures}")),
        WalkMode::Key => by_key(format!("by key: walk = 'key'; {figures}"), key_way),
        WalkMode::Auto
            if correlation.abs() < GOOD_CORRELATION && heap_cost < WORTHWHILE * key_cost =>
        {
            heap(&figures)
        }
        WalkMode::Auto => by_key(format!("by key: {figures}"), key_way),
    }
}

/// Blocks read for `rows` that lie anywhere in `blocks`, where `cached` of them stay in memory: the
/// estimate of Mackert and Lohman that the server's planner makes too (`index_pages_fetched`).
fn blocks_at_random(rows: f64, blocks: f64, cached: f64) -> f64 {
    if blocks < 1.0 {
        return 0.0;
    }
    let fetched = |rows: f64| 2.0 * blocks * rows / (2.0 * blocks + rows);
    if blocks <= cached {
        return fetched(rows).min(blocks).ceil();
    }
    let limit = 2.0 * blocks * cached / (2.0 * blocks - cached);
    if rows <= limit {
        fetched(rows).ceil()
    } else {
        cached + (rows - limit) * (blocks - cached) / blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::Heap;

    const DISK: Costs =
        Costs { seq_page: 1.0, random_page: 4.0, heap_page: 1.0, cached_blocks: 500_000.0 };

    fn leaf(blocks: u32, rows: f64) -> Leaf {
        let heap = Heap { relation: 1, filenode: 1, horizon: 1, updates: None };
        Leaf { obstacle: None, heap, blocks, rows, next_transaction: 1 }
    }

    fn key(correlation: f32) -> Option<KeyStatistics> {
        Some(KeyStatistics { correlation, ties: 1.0 })
    }

    fn way(rows: f64, correlation: f32, heap_page: f64) -> Way {
        let leaf = leaf(4_000_000, 60e6);
        let costs = Costs { heap_page, ..DISK };
        choose(WalkMode::Auto, &leaf, key(correlation), rows, costs, KeyIndex::Whole).way
    }

    #[test]
    fn a_month_of_a_heap_in_disorder_goes_by_heap() {
        assert_eq!([way(60e6, 0.01, 1.0), way(60e6, 0.01, 1.5)], [Way::Heap; 2]);
    }

    #[test]
    fn a_heap_in_order_goes_by_key_forwards_and_backwards() {
        assert_eq!([way(60e6, 0.99, 1.0), way(60e6, -0.99, 1.0)], [Way::Key; 2]);
    }

    #[test]
    fn a_minute_of_a_heap_in_disorder_goes_by_windows() {
        assert_eq!(way(1_400.0, 0.01, 1.0), Way::Window);
    }

    #[test]
    fn fast_storage_needs_no_order() {
        let ssd = Costs { random_page: 1.1, cached_blocks: 1e9, ..DISK };
        let choice =
            choose(WalkMode::Auto, &leaf(1_000, 4_000.0), key(0.0), 4_000.0, ssd, KeyIndex::Whole);
        assert_eq!(choice.way, Way::Window);
    }

    #[test]
    fn without_statistics_the_key_is_walked_and_the_reason_said() {
        let choice =
            choose(WalkMode::Auto, &leaf(1_000, -1.0), None, 4_000.0, DISK, KeyIndex::Whole);
        assert_eq!(choice.way, Way::Key);
        assert!(choice.reason.contains("no statistics"), "{}", choice.reason);
    }

    #[test]
    fn without_an_index_the_heap_is_read_once_and_not_sorted_for_each_page() {
        let leaf = leaf(1_000, 4_000.0);
        let way = |mode| choose(mode, &leaf, key(1.0), 4_000.0, DISK, KeyIndex::Missing).way;
        assert_eq!([way(WalkMode::Auto), way(WalkMode::Key)], [Way::Heap, Way::Key]);
    }

    #[test]
    fn an_index_on_the_timestamp_alone_serves_windows() {
        let leaf = leaf(1_000, 4_000.0);
        let way = |key, mode| choose(mode, &leaf, key, 4_000.0, DISK, KeyIndex::TimestampAlone).way;
        assert_eq!([way(key(1.0), WalkMode::Auto), way(key(1.0), WalkMode::Key)], [Way::Window; 2]);
        assert_eq!(way(None, WalkMode::Auto), Way::Window);
        let heavy = Some(KeyStatistics { correlation: 1.0, ties: 30_000.0 });
        assert_eq!(way(heavy, WalkMode::Auto), Way::Heap);
        assert_eq!(way(heavy, WalkMode::Key), Way::Window);
        let day = choose(WalkMode::Auto, &leaf, heavy, 100.0, DISK, KeyIndex::TimestampAlone);
        assert_eq!(day.way, Way::Window);
    }

    #[test]
    fn what_cannot_be_read_by_blocks_is_not() {
        let leaf = Leaf { obstacle: Some("row security applies"), ..leaf(1_000, 4_000.0) };
        let choice = choose(WalkMode::Heap, &leaf, key(0.0), 4_000.0, DISK, KeyIndex::Whole);
        assert_eq!(
            choice,
            WalkChoice { way: Way::Key, reason: "by key: row security applies".into() }
        );
    }
}
