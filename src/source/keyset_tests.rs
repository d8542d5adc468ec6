//! The walk against an in-memory table that answers pages as the server would.

use super::*;
use crate::source::describe::StatementKind;
use proptest::prelude::*;

fn table() -> WalkTable {
    WalkTable {
        sql_name: "t".into(),
        timestamp: "ts".into(),
        actor: "actor".into(),
        statement: "s".into(),
        extra: vec![],
        only: String::new(),
        statement_kind: StatementKind::Jsonb,
        version: 160_000,
        block_size: 8_192,
    }
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

/// What the server answers: the rows of the page's range in key order, closed on a key.
fn answer(sorted: &[Key], cursor: &Cursor, page: &Page) -> Vec<Key> {
    let in_range: Vec<Key> = sorted
        .iter()
        .copied()
        .filter(|key| match page.kind {
            PageKind::Onward => true,
            PageKind::TiedActors(t) => key.timestamp == t && key.actor.is_some(),
            PageKind::TiedNulls(t) => key.timestamp == t && key.actor.is_none(),
        })
        .filter(|key| !cursor.position.is_past(*key) && cursor.end.is_past(*key))
        .collect();
    if matches!(page.kind, PageKind::TiedNulls(_)) {
        return in_range;
    }
    let limit = page.limit as usize;
    let end = match in_range.get(limit.wrapping_sub(1)) {
        Some(last) => in_range.iter().take_while(|key| *key <= last).count(),
        None => in_range.len(),
    };
    in_range[..end].to_vec()
}

fn summary(rows: &[Key]) -> PageSummary {
    let last = rows.last().copied();
    PageSummary {
        rows: rows.len() as u64,
        last,
        last_ties: last
            .map_or(0, |l| rows.iter().filter(|k| k.timestamp == l.timestamp).count() as u64),
    }
}

fn walk_all(sorted: &[Key], interval: Interval, batch: u64) -> (Vec<Key>, usize) {
    let mut cursor = Cursor::new(interval);
    let (mut seen, mut pages) = (Vec::new(), 0);
    while !cursor.is_done() {
        let page = cursor.next_page(&table(), batch, batch);
        let rows = answer(sorted, &cursor, &page);
        let before = (cursor.position, cursor.only_nulls_left);
        cursor.advance(&page, &summary(&rows));
        assert_ne!(before, (cursor.position, cursor.only_nulls_left), "the walk stands still");
        seen.extend(rows);
        pages += 1;
    }
    (seen, pages)
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    let key = (0i64..8, proptest::option::weighted(0.7, 0i64..5))
        .prop_map(|(t, actor)| Key { timestamp: at(t), actor });
    prop::collection::vec(key, 0..120).prop_map(|mut keys| {
        keys.sort();
        keys
    })
}

fn edge() -> impl Strategy<Value = Edge> {
    (0i64..9, proptest::option::weighted(0.5, 0i64..5)).prop_map(|(t, actor)| match actor {
        Some(actor) => Edge::After(at(t), actor),
        None => Edge::Before(at(t)),
    })
}

proptest! {
    #[test]
    fn every_row_of_the_interval_comes_once_and_in_order(
        keys in keys(), from in edge(), to in edge(), batch in 1u64..40
    ) {
        let expected: Vec<Key> =
            keys.iter().copied().filter(|k| !from.is_past(*k) && to.is_past(*k)).collect();
        let (seen, _) = walk_all(&keys, Interval::new(from, to), batch);
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn a_walk_cut_anywhere_goes_on_from_its_position(
        keys in keys(), batch in 1u64..40, cut in 0usize..20
    ) {
        let whole = Interval::new(Edge::Before(at(0)), Edge::Before(at(9)));
        let mut cursor = Cursor::new(whole);
        let mut seen = Vec::new();
        for _ in 0..cut {
            if cursor.is_done() { break; }
            let page = cursor.next_page(&table(), batch, batch);
            let rows = answer(&keys, &cursor, &page);
            cursor.advance(&page, &summary(&rows));
            seen.extend(rows);
        }
        seen.extend(walk_all(&keys, cursor.rest(), batch).0);
        prop_assert_eq!(seen, keys);
    }
}

#[test]
fn unique_timestamps_cost_one_query_a_page() {
    let keys: Vec<Key> = (0..1_000).map(|t| Key { timestamp: at(t), actor: Some(t % 7) }).collect();
    let whole = Interval::new(Edge::Before(at(0)), Edge::Before(at(1_000)));
    let (seen, pages) = walk_all(&keys, whole, 100);
    assert_eq!((seen.len(), pages), (1_000, 11));
}

#[test]
fn a_large_tie_group_is_asked_for_by_exact_conditions() {
    let whole = Interval::new(Edge::Before(at(0)), Edge::Before(at(9)));
    let mut cursor = Cursor::new(whole);
    let page = cursor.next_page(&table(), 100, 100);
    let last = Key { timestamp: at(3), actor: Some(4) };
    cursor.advance(&page, &PageSummary { rows: 100, last: Some(last), last_ties: 100 });
    let heavy = cursor.next_page(&table(), 100, 100);
    assert_eq!(heavy.kind, PageKind::TiedActors(at(3)));
    assert!(heavy.sql.contains("ts = ") && heavy.sql.contains("actor > $"), "{}", heavy.sql);
    assert!(!heavy.sql.contains(" or "), "{}", heavy.sql);
}

#[test]
fn a_resumed_walk_trusts_no_tie_group() {
    let rest = Interval::new(Edge::After(at(3), 4), Edge::Before(at(9)));
    let page = Cursor::new(rest).next_page(&table(), 100, 100);
    assert_eq!(page.kind, PageKind::TiedActors(at(3)));
}
