//! Keys `(timestamp, actor)` and the edges between them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A key of the walk, in the order of `order by "timestamp", actor_id`: null actors sort last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    pub timestamp: DateTime<Utc>,
    pub actor: Option<i64>,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.timestamp.cmp(&other.timestamp).then_with(|| match (self.actor, other.actor) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        })
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A cut between two neighbouring keys. Intervals of the walk run from one edge to another, so
/// that "from here" and "strictly after that key" are the same kind of thing.
///
/// A cut after the null actors of a timestamp is the cut before the next microsecond: [`after`]
/// never makes two values for one place.
///
/// [`after`]: Edge::after
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// Before every key of this timestamp.
    Before(DateTime<Utc>),
    /// After this timestamp's keys up to and including this actor; larger actors and null follow.
    After(DateTime<Utc>, i64),
}

impl Edge {
    /// The edge just after `key`.
    pub fn after(key: Key) -> Self {
        match key.actor {
            Some(actor) => Edge::After(key.timestamp, actor),
            // PostgreSQL's timestamps have microseconds and nothing between them.
            None => Edge::Before(key.timestamp + TimeDelta::microseconds(1)),
        }
    }

    /// The timestamp that the edge touches.
    pub fn timestamp(self) -> DateTime<Utc> {
        match self {
            Edge::Before(timestamp) | Edge::After(timestamp, _) => timestamp,
        }
    }

    /// The actor of an [`Edge::After`].
    pub fn actor(self) -> Option<i64> {
        match self {
            Edge::Before(_) => None,
            Edge::After(_, actor) => Some(actor),
        }
    }

    /// Whether `key` lies before the edge.
    pub fn is_past(self, key: Key) -> bool {
        Edge::after(key) <= self
    }
}

impl Ord for Edge {
    fn cmp(&self, other: &Self) -> Ordering {
        // None (before all actors) sorts before every Some, as the derived order of Option has it.
        (self.timestamp(), self.actor()).cmp(&(other.timestamp(), other.actor()))
    }
}

impl PartialOrd for Edge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    #[test]
    fn null_actors_sort_after_every_actor() {
        let some = Key { timestamp: at(5), actor: Some(i64::MAX) };
        let null = Key { timestamp: at(5), actor: None };
        assert!(some < null);
        assert!(Edge::after(some) < Edge::after(null));
        assert!(Edge::after(null) <= Edge::Before(at(6)));
    }

    #[test]
    fn an_edge_is_past_its_own_key_only() {
        let key = Key { timestamp: at(5), actor: Some(7) };
        let next = Key { timestamp: at(5), actor: Some(8) };
        assert!(Edge::after(key).is_past(key));
        assert!(!Edge::after(key).is_past(next));
        assert!(!Edge::Before(at(5)).is_past(key));
    }
}
