//! Rows of both sides as multisets: what is missing on the stage, what it has too much, what has changed.

use crate::load::{StagePlace, StageRow};
use crate::source::SourceRow;
use chrono::{DateTime, Utc};
use std::collections::{HashMap, VecDeque};

/// In what the rows of a range differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rows of the source that the stage does not have, by their index; ascending.
    pub missing: Vec<usize>,
    /// Rows of the stage that the source does not have; ascending.
    pub surplus: Vec<usize>,
    /// Of those, pairs with the same id: the statement changed.
    pub changed: Vec<(usize, usize)>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty()
    }

    /// Compares by time and by the hash of the statement. Of rows of the stage that are alike, the first ones
    /// count, those of the target before rejects.
    pub fn of(source: &[SourceRow], stage: &[StageRow]) -> Difference {
        let mut order: Vec<usize> = (0..stage.len()).collect();
        order.sort_by_key(|n| place(&stage[*n]));
        let mut held: HashMap<(DateTime<Utc>, i64), VecDeque<usize>> = HashMap::new();
        for n in order {
            held.entry((stage[n].at, stage[n].hash)).or_default().push_back(n);
        }
        let mut difference = Difference::default();
        for (n, row) in source.iter().enumerate() {
            let like = held.get_mut(&(row.at, row.hash));
            if like.and_then(VecDeque::pop_front).is_none() {
                difference.missing.push(n);
            }
        }
        difference.surplus = held.into_values().flatten().collect();
        difference.surplus.sort_unstable();
        difference.match_unread(source, stage);
        difference.match_ids(source, stage);
        difference
    }

    /// A reject whose statement is not here stands for a row of its time.
    fn match_unread(&mut self, source: &[SourceRow], stage: &[StageRow]) {
        let missing = &mut self.missing;
        self.surplus.retain(|n| {
            let StagePlace::Reject { unread: true, .. } = stage[*n].place else { return true };
            let stands_for = missing.iter().position(|m| source[*m].at == stage[*n].at);
            stands_for.map(|m| missing.remove(m)).is_none()
        });
    }

    fn match_ids(&mut self, source: &[SourceRow], stage: &[StageRow]) {
        let mut by_id: HashMap<&str, Vec<usize>> = HashMap::new();
        for n in self.surplus.iter().rev() {
            if let Some(id) = stage[*n].id.as_deref() {
                by_id.entry(id).or_default().push(*n);
            }
        }
        for m in &self.missing {
            let like = source[*m].id.as_deref().and_then(|id| by_id.get_mut(id));
            self.changed.extend(like.and_then(Vec::pop).map(|n| (*m, n)));
        }
    }
}

/// The target's rows first, in the order of their places.
fn place(row: &StageRow) -> (bool, u32, u32, u16) {
    match row.place {
        StagePlace::Target(Some(version)) => {
            let block = version.ctid.ip_blkid;
            let number = u32::from(block.bi_hi) << 16 | u32::from(block.bi_lo);
            (false, version.table.to_u32(), number, version.ctid.ip_posid)
        }
        StagePlace::Target(None) => (false, 0, 0, 0),
        StagePlace::Reject { .. } => (true, 0, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Time, hash; the id goes with the time, or there is none.
    type Row = (i64, i64);

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn id(time: i64) -> Option<String> {
        (time % 2 == 0).then(|| time.to_string())
    }

    fn source(rows: &[Row]) -> Vec<SourceRow> {
        let row = |(t, hash): &Row| SourceRow { at: at(*t), actor: None, hash: *hash, id: id(*t) };
        rows.iter().map(row).collect()
    }

    fn stage(rows: &[Row], place: StagePlace) -> Vec<StageRow> {
        let row = |(t, hash): &Row| StageRow { at: at(*t), hash: *hash, id: id(*t), place };
        rows.iter().map(row).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec((0i64..6, 0i64..3), 0..20)
    }

    proptest! {
        #[test]
        fn less_the_surplus_and_with_the_missing_the_stage_is_the_source(
            left in rows(), target in rows(), rejects in rows()
        ) {
            let reject = StagePlace::Reject { reject_id: 1, unread: false };
            let right = [stage(&target, StagePlace::Target(None)), stage(&rejects, reject)].concat();
            let held = [target, rejects].concat();
            let found = Difference::of(&source(&left), &right);
            let mut repaired: Vec<Row> = held.iter().enumerate()
                .filter(|(n, _)| !found.surplus.contains(n)).map(|(_, row)| *row).collect();
            repaired.extend(found.missing.iter().map(|n| left[*n]));
            repaired.sort_unstable();
            let mut wanted = left.clone();
            wanted.sort_unstable();
            prop_assert_eq!(repaired, wanted);
            // Nothing is both missing and surplus.
            for m in &found.missing {
                prop_assert!(found.surplus.iter().all(|n| held[*n] != left[*m]));
            }
            let most = found.missing.len().min(found.surplus.len());
            prop_assert!(found.changed.len() <= most);
        }
    }

    #[test]
    fn a_reject_goes_before_a_row_of_the_target() {
        let reject = StagePlace::Reject { reject_id: 7, unread: false };
        let right = [stage(&[(1, 1)], reject), stage(&[(1, 1)], StagePlace::Target(None))].concat();
        assert_eq!(Difference::of(&source(&[(1, 1)]), &right).surplus, [0]);
    }

    #[test]
    fn a_reject_without_its_statement_stands_for_a_row_of_its_time() {
        let reject = StagePlace::Reject { reject_id: 7, unread: true };
        let right = stage(&[(1, 9)], reject);
        assert!(Difference::of(&source(&[(1, 1)]), &right).is_empty());
        assert_eq!(Difference::of(&source(&[(2, 1)]), &right).surplus, [0]);
    }

    #[test]
    fn a_changed_statement_is_one_missing_and_one_surplus_of_its_id() {
        let right = stage(&[(2, 1)], StagePlace::Target(None));
        let found = Difference::of(&source(&[(2, 5)]), &right);
        assert_eq!(found, Difference { missing: vec![0], surplus: vec![0], changed: vec![(0, 0)] });
    }
}
