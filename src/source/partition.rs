//! The source's partition tree, and the stretches of time that its parts hold.

use crate::slice::Segment;
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// A node of `pg_partition_tree`, as `sql/source/partitions.sql` reads it.
#[derive(Clone, Debug)]
pub struct Node {
    pub oid: u32,
    pub parent: Option<u32>,
    pub name: String,
    /// `pg_get_expr(relpartbound)`; `None` at the root.
    pub bound: Option<String>,
    /// Whether the node is range-partitioned by the timestamp alone.
    pub cut_by_time: bool,
}

/// A range of time, open where `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl Range {
    fn clip(self, within: Range) -> Range {
        Range {
            from: self.from.max(within.from),
            to: match (self.to, within.to) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        }
    }

    fn is_empty(self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if from >= to)
    }
}

/// The stretches of `[from, to)` that can hold rows, in time order, each with the partition that
/// holds them. Time that no partition takes is left out; what the default partition takes, and a
/// sub-tree that is not cut by time, come under their own names.
///
/// `name` is the table's own name, for a table without partitions.
pub fn segments(
    name: &str,
    nodes: &[Node],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<Segment> {
    let mut children: HashMap<u32, Vec<&Node>> = HashMap::new();
    for node in nodes {
        if let Some(parent) = node.parent {
            children.entry(parent).or_default().push(node);
        }
    }
    let mut pieces = Vec::new();
    let whole = Range { from: Some(from), to: Some(to) };
    match nodes.iter().find(|node| node.parent.is_none_or(|p| nodes.iter().all(|n| n.oid != p))) {
        Some(root) => descend(root, whole, 0, &children, &mut pieces),
        None => pieces.push((name.to_owned(), whole)),
    }
    pieces
        .into_iter()
        .filter_map(|(partition, range)| {
            Some(Segment { partition, from: range.from?, to: range.to? })
        })
        .filter(|segment| segment.from < segment.to)
        .collect()
}

/// The tables at the ends of the tree below the node of that name; the name itself where there is no
/// such node.
pub fn leaves_below(nodes: &[Node], name: &str) -> Vec<String> {
    let Some(top) = nodes.iter().find(|node| node.name == name) else {
        return vec![name.to_owned()];
    };
    let (mut leaves, mut open) = (Vec::new(), vec![top]);
    // Each node once: a source whose tree has a circle may be lying.
    for _ in 0..nodes.len() {
        let Some(node) = open.pop() else { break };
        let before = open.len();
        open.extend(nodes.iter().filter(|other| other.parent == Some(node.oid)));
        if open.len() == before {
            leaves.push(node.name.clone());
        }
    }
    leaves.sort();
    leaves
}

/// Whether a part may hold rows without a finite timestamp: a partition does not that is, or lies in, a
/// range of time with two ends.
pub fn has_unbounded_parts(nodes: &[Node]) -> bool {
    let find = |oid: Option<u32>| nodes.iter().find(|node| Some(node.oid) == oid);
    let is_bounded = |leaf: &Node| {
        let mut way = std::iter::successors(Some(leaf), |node| find(node.parent)).take(DEEPEST);
        way.any(|node| {
            let range = node.bound.as_deref().and_then(parse_bound);
            find(node.parent).is_some_and(|parent| parent.cut_by_time)
                && range.is_some_and(|range| range.from.is_some() && range.to.is_some())
        })
    };
    let is_leaf = |node: &&Node| nodes.iter().all(|other| other.parent != Some(node.oid));
    nodes.is_empty() || nodes.iter().filter(is_leaf).any(|leaf| !is_bounded(leaf))
}

/// Levels of partitions that are looked into; what lies deeper is walked whole. No table has as many,
/// and a source that says so may be lying.
const DEEPEST: usize = 64;

fn descend(
    node: &Node,
    range: Range,
    depth: usize,
    children: &HashMap<u32, Vec<&Node>>,
    pieces: &mut Vec<(String, Range)>,
) {
    if range.is_empty() {
        return;
    }
    if !node.cut_by_time || depth == DEEPEST {
        pieces.push((node.name.clone(), range));
        return;
    }
    let below: &[&Node] = children.get(&node.oid).map_or(&[], Vec::as_slice);
    let readable = |n: &&Node| match n.bound.as_deref() {
        Some("DEFAULT") => true,
        bound => bound.and_then(parse_bound).is_some(),
    };
    if !below.iter().all(readable) {
        // A bound past chrono's calendar: the node is walked whole, which costs slices, not rows.
        pieces.push((node.name.clone(), range));
        return;
    }
    let default = below.iter().copied().find(|n| n.bound.as_deref() == Some("DEFAULT"));
    let mut cut: Vec<(Range, &Node)> =
        below.iter().filter_map(|n| Some((parse_bound(n.bound.as_deref()?)?, *n))).collect();
    cut.sort_by_key(|(bound, _)| bound.from);
    let mut position = range.from;
    for (bound, child) in cut {
        // A range without a start has nothing before it.
        if let (Some(default), Some(_)) = (default, bound.from) {
            descend(
                default,
                Range { from: position, to: bound.from }.clip(range),
                depth + 1,
                children,
                pieces,
            );
        }
        descend(child, bound.clip(range), depth + 1, children, pieces);
        match bound.to {
            Some(to) => position = position.max(Some(to)),
            None => return,
        }
    }
    if let Some(default) = default {
        descend(default, Range { from: position, to: range.to }, depth + 1, children, pieces);
    }
}

/// Reads `FOR VALUES FROM ('…') TO ('…')` as the source prints it with `timezone = UTC`.
fn parse_bound(bound: &str) -> Option<Range> {
    let rest = bound.strip_prefix("FOR VALUES FROM (")?;
    let (from, rest) = rest.split_once(") TO (")?;
    Some(Range { from: parse_value(from)?, to: parse_value(rest.strip_suffix(')')?)? })
}

/// `Some(None)`: unbounded on this side.
fn parse_value(text: &str) -> Option<Option<DateTime<Utc>>> {
    match text {
        "MINVALUE" | "MAXVALUE" | "'-infinity'" | "'infinity'" => Some(None),
        quoted => {
            let text = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
            let format = "%Y-%m-%d %H:%M:%S%.f%#z";
            DateTime::parse_from_str(text, format).ok().map(|t| Some(t.to_utc()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}T00:00:00Z").parse().unwrap()
    }

    fn node(oid: u32, parent: u32, name: &str, bound: &str, cut_by_time: bool) -> Node {
        Node {
            oid,
            parent: (parent > 0).then_some(parent),
            name: name.into(),
            bound: (!bound.is_empty()).then(|| bound.into()),
            cut_by_time,
        }
    }

    fn months(from: &str, to: &str) -> String {
        format!("FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00')")
    }

    fn shape(nodes: &[Node], from: &str, to: &str) -> Vec<(String, DateTime<Utc>, DateTime<Utc>)> {
        segments("t", nodes, at(from), at(to))
            .into_iter()
            .map(|s| (s.partition, s.from, s.to))
            .collect()
    }

    #[test]
    fn a_plain_table_is_one_segment() {
        let alone = [node(1, 0, "t", "", false)];
        let expected = [("t".to_owned(), at("2025-01-01"), at("2026-01-01"))];
        assert_eq!(shape(&alone, "2025-01-01", "2026-01-01"), expected);
        assert_eq!(shape(&[], "2025-01-01", "2026-01-01"), expected);
    }

    #[test]
    fn what_has_no_two_ends_may_hold_rows_outside_of_time() {
        assert!(has_unbounded_parts(&[]), "a table without partitions");
        let root =
            || Node { oid: 1, parent: None, name: "t".into(), bound: None, cut_by_time: true };
        let with = |leaf: Node| {
            let march = node(2, 1, "march", &months("2025-03-01", "2025-04-01"), false);
            let april = node(3, 1, "april", &months("2025-04-01", "2025-05-01"), false);
            has_unbounded_parts(&[root(), march, april, leaf])
        };
        let hash = "FOR VALUES WITH (modulus 2, remainder 0)";
        assert!(!with(node(4, 3, "april_0", hash, false)), "a part of a month");
        assert!(with(node(4, 1, "rest", "DEFAULT", false)));
        let early = "FOR VALUES FROM (MINVALUE) TO ('2025-03-01 00:00:00+00')";
        assert!(with(node(4, 1, "early", early, false)));
    }

    #[test]
    fn gaps_hold_no_rows_without_a_default_partition() {
        let nodes = [
            node(1, 0, "t", "", true),
            node(2, 1, "march", &months("2025-03-01", "2025-04-01"), false),
            node(3, 1, "may", &months("2025-05-01", "2025-06-01"), false),
        ];
        let found = shape(&nodes, "2025-01-01", "2025-05-11");
        assert_eq!(
            found,
            [
                ("march".into(), at("2025-03-01"), at("2025-04-01")),
                ("may".into(), at("2025-05-01"), at("2025-05-11")),
            ]
        );
    }

    #[test]
    fn the_default_partition_holds_what_is_between() {
        let nodes = [
            node(1, 0, "t", "", true),
            node(2, 1, "march", &months("2025-03-01", "2025-04-01"), false),
            node(4, 1, "rest", "DEFAULT", false),
        ];
        let found = shape(&nodes, "2025-02-01", "2025-05-01");
        assert_eq!(
            found,
            [
                ("rest".into(), at("2025-02-01"), at("2025-03-01")),
                ("march".into(), at("2025-03-01"), at("2025-04-01")),
                ("rest".into(), at("2025-04-01"), at("2025-05-01")),
            ]
        );
    }

    #[test]
    fn sub_partitions_by_time_are_cut_and_others_kept_whole() {
        let nodes = [
            node(1, 0, "t", "", true),
            node(2, 1, "march", &months("2025-03-01", "2025-04-01"), true),
            node(3, 2, "march_a", &months("2025-03-01", "2025-03-16"), false),
            node(4, 2, "march_b", &months("2025-03-16", "2025-04-01"), false),
            node(5, 1, "april", "FOR VALUES FROM ('2025-04-01 00:00:00+00') TO (MAXVALUE)", false),
            node(6, 5, "april_0", "FOR VALUES WITH (modulus 2, remainder 0)", false),
        ];
        let found = shape(&nodes, "2025-03-10", "2025-05-01");
        assert_eq!(
            found,
            [
                ("march_a".into(), at("2025-03-10"), at("2025-03-16")),
                ("march_b".into(), at("2025-03-16"), at("2025-04-01")),
                ("april".into(), at("2025-04-01"), at("2025-05-01")),
            ]
        );
    }

    #[test]
    fn a_first_partition_without_a_start_leaves_nothing_to_the_default() {
        let first = "FOR VALUES FROM (MINVALUE) TO ('2025-04-01 00:00:00+00')";
        let nodes = [
            node(1, 0, "t", "", true),
            node(2, 1, "old", first, false),
            node(3, 1, "rest", "DEFAULT", false),
        ];
        assert_eq!(
            shape(&nodes, "2025-03-01", "2025-05-01"),
            [
                ("old".into(), at("2025-03-01"), at("2025-04-01")),
                ("rest".into(), at("2025-04-01"), at("2025-05-01")),
            ]
        );
    }

    #[test]
    fn a_bound_that_cannot_be_read_loses_no_rows() {
        let far = "FOR VALUES FROM ('2025-04-01 00:00:00+00') TO ('0100-01-01 00:00:00+00 BC')";
        let nodes = [
            node(1, 0, "t", "", true),
            node(2, 1, "march", &months("2025-03-01", "2025-04-01"), false),
            node(3, 1, "far", far, false),
        ];
        assert_eq!(
            shape(&nodes, "2025-03-01", "2025-05-01"),
            [("t".into(), at("2025-03-01"), at("2025-05-01"))]
        );
    }

    #[test]
    fn bounds_with_fractions_are_read() {
        let bound = "FOR VALUES FROM (MINVALUE) TO ('2025-03-01 09:00:00.5+00')";
        let to = "2025-03-01T09:00:00.5Z".parse().unwrap();
        assert_eq!(parse_bound(bound), Some(Range { from: None, to: Some(to) }));
    }
}
