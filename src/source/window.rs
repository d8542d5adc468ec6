//! How wide the next window of keys is, by how many rows the windows before had.

use super::describe::WalkTable;
use super::keyset::range_condition;
use super::sql::Parameters;
use crate::slice::{Edge, Interval};
use chrono::TimeDelta;

/// A window is at most so many times as wide as the one before.
const GROWTH: i64 = 4;

/// The widths of the windows of a walk.
#[derive(Clone, Copy, Debug)]
pub struct WindowWidth {
    /// Microseconds and rows of the last window; before the first, as estimated.
    last: (i64, u64),
}

impl WindowWidth {
    /// For a walk over `interval`, which is thought to have so many rows.
    pub fn new(interval: &Interval, estimated_rows: i64) -> Self {
        WindowWidth { last: (micros(interval), u64::try_from(estimated_rows).unwrap_or(0).max(1)) }
    }

    /// The next window of `rest`, for about `rows` rows; `None` where a microsecond holds more, so that
    /// a window could not be read page by page.
    pub fn next(&self, rest: &Interval, rows: u64) -> Option<Interval> {
        let (width, had) = self.last;
        let most = width.saturating_mul(GROWTH);
        let wanted = match had {
            0 => most,
            had => {
                let fits = width as f64 * rows as f64 / had as f64;
                if fits < 1.0 {
                    return None;
                }
                (fits as i64).min(most)
            }
        };
        let end = rest.from.timestamp().checked_add_signed(TimeDelta::microseconds(wanted))?;
        Some(Interval::new(rest.from, Edge::Before(end).min(rest.to)))
    }

    /// Takes in how many rows a window, or a page in its place, had.
    pub fn note(&mut self, read: &Interval, rows: u64) {
        self.last = (micros(read), rows);
    }
}

fn micros(interval: &Interval) -> i64 {
    let width = interval.to.timestamp() - interval.from.timestamp();
    width.num_microseconds().unwrap_or(i64::MAX).max(1)
}

/// The rows of a window, in whatever order.
pub fn rows_of(table: &WalkTable, window: &Interval) -> (String, Parameters) {
    let mut values = Parameters::default();
    let condition = range_condition(table, window, &mut values);
    (format!("select {} from {} where {condition}", table.select_list(), table.sql_name), values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn interval(from: i64, to: i64) -> Interval {
        let at = |micros| Edge::Before(DateTime::from_timestamp_micros(micros).unwrap());
        Interval::new(at(from), at(to))
    }

    #[test]
    fn windows_follow_the_density_and_grow_slowly() {
        let rest = interval(0, 10_000_000);
        let mut windows = WindowWidth::new(&rest, 100_000);
        let first = windows.next(&rest, 100).unwrap();
        assert_eq!(micros(&first), 10_000);
        windows.note(&first, 0);
        assert_eq!(windows.next(&rest, 100).map(|w| micros(&w)), Some(40_000));
        windows.note(&interval(0, 40_000), 200);
        assert_eq!(windows.next(&rest, 100).map(|w| micros(&w)), Some(20_000));
    }

    #[test]
    fn what_fits_a_page_is_one_window() {
        let rest = interval(0, 1_000_000);
        assert_eq!(WindowWidth::new(&rest, 400).next(&rest, 500), Some(rest));
    }

    #[test]
    fn a_microsecond_with_more_rows_than_a_page_is_no_window() {
        let mut windows = WindowWidth::new(&interval(0, 10), 10);
        windows.note(&interval(0, 1), 5_000);
        assert!(windows.next(&interval(1, 10), 100).is_none());
    }

    proptest! {
        #[test]
        fn windows_tile_what_is_left(
            length in 1i64..100_000, estimated in 0i64..10_000,
            rows in prop::collection::vec(0u64..300, 1..50)
        ) {
            let (mut rest, mut rows) = (interval(0, length), rows.into_iter().cycle());
            let mut windows = WindowWidth::new(&rest, estimated);
            for _ in 0..10_000 {
                if rest.is_empty() { break; }
                let from = rest.from.timestamp().timestamp_micros();
                let window = windows.next(&rest, 100).unwrap_or_else(|| interval(from, from + 1));
                prop_assert_eq!(window.from, rest.from);
                prop_assert!(window.to > window.from && window.to <= rest.to);
                windows.note(&window, rows.next().unwrap());
                rest.from = window.to;
            }
        }
    }
}
