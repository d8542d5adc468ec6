//! Intervals of the key space and their difference.

use super::Edge;
use serde::{Deserialize, Serialize};

/// The keys from one edge up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub from: Edge,
    pub to: Edge,
}

impl Interval {
    pub fn new(from: Edge, to: Edge) -> Self {
        Interval { from, to }
    }

    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// The part that both share; empty where they do not meet.
    pub fn intersect(&self, other: &Interval) -> Interval {
        Interval { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// What of `wanted` none of `covered` holds: disjoint, ascending, none empty.
///
/// `covered` may overlap and come in any order.
pub fn subtract(wanted: Interval, covered: &[Interval]) -> Vec<Interval> {
    let mut holes: Vec<Interval> =
        covered.iter().map(|c| c.intersect(&wanted)).filter(|c| !c.is_empty()).collect();
    holes.sort_by_key(|c| c.from);
    let mut left = Vec::new();
    let mut position = wanted.from;
    for hole in holes {
        let gap = Interval::new(position, hole.from);
        if !gap.is_empty() {
            left.push(gap);
        }
        position = position.max(hole.to);
    }
    let rest = Interval::new(position, wanted.to);
    if !rest.is_empty() {
        left.push(rest);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::Key;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn edge() -> impl Strategy<Value = Edge> {
        (0i64..12, proptest::option::of(0i64..4)).prop_map(|(t, actor)| {
            let timestamp = DateTime::from_timestamp_micros(t).unwrap();
            actor.map_or(Edge::Before(timestamp), |a| Edge::After(timestamp, a))
        })
    }

    fn interval() -> impl Strategy<Value = Interval> {
        (edge(), edge()).prop_map(|(from, to)| Interval { from, to })
    }

    fn holds(interval: &Interval, key: Key) -> bool {
        interval.to.is_past(key) && !interval.from.is_past(key)
    }

    proptest! {
        #[test]
        fn each_key_is_left_once_or_covered(
            wanted in interval(), covered in prop::collection::vec(interval(), 0..8)
        ) {
            let left = subtract(wanted, &covered);
            for t in 0..13 {
                for actor in (0..5).map(Some).chain([None]) {
                    let key = Key { timestamp: DateTime::from_timestamp_micros(t).unwrap(), actor };
                    let expected =
                        holds(&wanted, key) && !covered.iter().any(|c| holds(c, key));
                    let found = left.iter().filter(|l| holds(l, key)).count();
                    prop_assert_eq!(found, usize::from(expected), "{:?}", key);
                }
            }
        }

        #[test]
        fn what_is_left_is_ascending_and_never_empty(
            wanted in interval(), covered in prop::collection::vec(interval(), 0..8)
        ) {
            let left = subtract(wanted, &covered);
            prop_assert!(left.iter().all(|l| !l.is_empty()));
            prop_assert!(left.windows(2).all(|w| w[0].to < w[1].from));
        }
    }
}
