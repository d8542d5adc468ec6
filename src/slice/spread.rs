//! Enough pieces for all workers: a short period is one slice, which one worker would pull alone.

use super::{Edge, Interval};

/// A part of the period to pull, and how many rows are expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub partition: String,
    pub interval: Interval,
    pub estimated_rows: i64,
}

/// Halves the largest pieces by time until there are `wanted`, or none is expected to hold more
/// than `worthwhile` rows. The pieces stay in the order of time and cover what they covered.
pub fn spread(mut pieces: Vec<Piece>, wanted: usize, worthwhile: i64) -> Vec<Piece> {
    while pieces.len() < wanted {
        let largest = pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.estimated_rows > worthwhile)
            .filter_map(|(n, piece)| Some((n, piece, middle(&piece.interval)?)))
            .max_by_key(|(_, piece, _)| piece.estimated_rows);
        let Some((n, piece, cut)) = largest else { break };
        let half = Piece { estimated_rows: piece.estimated_rows / 2, ..piece.clone() };
        let first = Piece { interval: Interval::new(half.interval.from, cut), ..half.clone() };
        let second = Piece { interval: Interval::new(cut, half.interval.to), ..half };
        pieces.splice(n..=n, [first, second]);
    }
    pieces
}

/// The edge half-way in time; `None` where nothing lies between.
fn middle(interval: &Interval) -> Option<Edge> {
    let (from, to) = (interval.from.timestamp(), interval.to.timestamp());
    let micros = from.timestamp_micros().midpoint(to.timestamp_micros());
    let cut = Edge::Before(chrono::DateTime::from_timestamp_micros(micros)?);
    (cut > interval.from && cut < interval.to).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn at(micros: i64) -> Edge {
        Edge::Before(DateTime::from_timestamp_micros(micros).unwrap())
    }

    fn piece(from: i64, to: i64, estimated_rows: i64) -> Piece {
        Piece { partition: "p".into(), interval: Interval::new(at(from), at(to)), estimated_rows }
    }

    #[test]
    fn a_day_becomes_enough_pieces_for_the_workers() {
        let pieces = spread(vec![piece(0, 800, 100_000)], 4, 10_000);
        let cuts: Vec<_> = pieces.iter().map(|p| (p.interval.from, p.interval.to)).collect();
        assert_eq!(
            cuts,
            [(at(0), at(200)), (at(200), at(400)), (at(400), at(600)), (at(600), at(800))]
        );
    }

    #[test]
    fn what_one_batch_holds_is_not_cut() {
        assert_eq!(spread(vec![piece(0, 800, 500)], 4, 500).len(), 1);
        assert_eq!(spread(vec![piece(0, 1, 5_000)], 4, 500).len(), 1);
    }

    proptest! {
        #[test]
        fn pieces_stay_adjacent_and_cover_the_same(
            bounds in prop::collection::btree_set(0i64..1_000, 2..6), rows in 0i64..1_000,
            wanted in 0usize..12
        ) {
            let bounds: Vec<i64> = bounds.into_iter().collect();
            let before: Vec<Piece> =
                bounds.windows(2).map(|w| piece(w[0], w[1], rows * (w[1] - w[0]))).collect();
            let after = spread(before.clone(), wanted, 10);
            prop_assert!(after.windows(2).all(|w| w[0].interval.to == w[1].interval.from));
            prop_assert!(after.iter().all(|p| !p.interval.is_empty()));
            prop_assert_eq!(after[0].interval.from, before[0].interval.from);
            prop_assert_eq!(
                after.last().map(|p| p.interval.to), before.last().map(|p| p.interval.to));
        }
    }
}
