//! Enough slices for all workers: a short period is one slice, which one worker would pull alone.

use super::{Edge, Interval, Slice};

/// Halves the largest slices by time until there are `wanted`, or none is expected to hold more
/// than `worthwhile` rows. The slices stay in the order of time, cover what they covered, and are
/// numbered anew from 1.
pub fn spread(mut slices: Vec<Slice>, wanted: usize, worthwhile: i64) -> Vec<Slice> {
    while slices.len() < wanted {
        let largest = slices
            .iter()
            .enumerate()
            .filter(|(_, slice)| slice.blocks.is_none() && slice.estimated_rows > worthwhile)
            .filter_map(|(n, slice)| Some((n, slice, middle(&slice.interval)?)))
            .max_by_key(|(_, slice, _)| slice.estimated_rows);
        let Some((n, slice, cut)) = largest else { break };
        let half = Slice { estimated_rows: slice.estimated_rows / 2, ..slice.clone() };
        let first = Slice { interval: Interval::new(half.interval.from, cut), ..half.clone() };
        let second = Slice { interval: Interval::new(cut, half.interval.to), ..half };
        slices.splice(n..=n, [first, second]);
    }
    for (slice, slice_no) in slices.iter_mut().zip(1..) {
        slice.slice_no = slice_no;
    }
    slices
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

    fn slice(from: i64, to: i64, estimated_rows: i64) -> Slice {
        Slice {
            slice_no: 0,
            partition: "p".into(),
            interval: Interval::new(at(from), at(to)),
            blocks: None,
            in_windows: false,
            compared: false,
            estimated_rows,
            warning: None,
            walk: None,
        }
    }

    #[test]
    fn a_day_becomes_enough_slices_for_the_workers() {
        let slices = spread(vec![slice(0, 800, 100_000)], 4, 10_000);
        let cuts: Vec<_> = slices.iter().map(|p| (p.interval.from, p.interval.to)).collect();
        assert_eq!(
            cuts,
            [(at(0), at(200)), (at(200), at(400)), (at(400), at(600)), (at(600), at(800))]
        );
    }

    #[test]
    fn what_one_batch_holds_is_not_cut() {
        assert_eq!(spread(vec![slice(0, 800, 500)], 4, 500).len(), 1);
        assert_eq!(spread(vec![slice(0, 1, 5_000)], 4, 500).len(), 1);
    }

    proptest! {
        #[test]
        fn pieces_stay_adjacent_and_cover_the_same(
            bounds in prop::collection::btree_set(0i64..1_000, 2..6), rows in 0i64..1_000,
            wanted in 0usize..12
        ) {
            let bounds: Vec<i64> = bounds.into_iter().collect();
            let before: Vec<Slice> =
                bounds.windows(2).map(|w| slice(w[0], w[1], rows * (w[1] - w[0]))).collect();
            let after = spread(before.clone(), wanted, 10);
            prop_assert!(after.windows(2).all(|w| w[0].interval.to == w[1].interval.from));
            prop_assert!(after.iter().all(|p| !p.interval.is_empty()));
            prop_assert_eq!(after[0].interval.from, before[0].interval.from);
            prop_assert_eq!(
                after.last().map(|p| p.interval.to), before.last().map(|p| p.interval.to));
        }
    }
}
