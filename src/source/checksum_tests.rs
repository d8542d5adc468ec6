use super::*;
use chrono::TimeDelta;
use proptest::prelude::*;

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

/// What a source answers that never manages more than `most` rows at a time, one a microsecond:
/// the sum, and the questions it took. `None` where it cannot be asked for less.
fn sum(mut from: i64, to: i64, most: i64) -> Option<(i64, u32)> {
    let (mut range_size, mut rows, mut questions) = (RangeSize::default(), 0, 0);
    while from < to {
        questions += 1;
        let end = range_size.end(at(from), at(to));
        let asked = (end - at(from)).num_microseconds()?;
        assert!(asked > 0 && end <= at(to));
        if asked > most {
            if !range_size.halve(at(from), end) {
                return None;
            }
            continue;
        }
        range_size.passed();
        rows += asked;
        from += asked;
    }
    Some((rows, questions))
}

#[test]
fn what_takes_too_long_is_asked_for_in_halves_and_added_up() {
    assert_eq!(sum(0, 1_000, 1_000), Some((1_000, 1)));
    assert_eq!(sum(0, 1_000, 500), Some((1_000, 3)));
}

#[test]
fn a_microsecond_is_not_divided() {
    assert_eq!(sum(0, 1_000, 0), None);
    let mut range_size = RangeSize::default();
    assert!(range_size.halve(at(0), at(3)));
    assert_eq!(range_size.end(at(0), at(9)), at(2));
    assert!(!range_size.halve(at(0), at(1)));
}

#[test]
fn the_range_grows_again_where_the_rows_are_fewer() {
    let mut range_size = RangeSize::default();
    assert!(range_size.halve(at(0), at(1_000)));
    (0..PASSES_TO_GROW).for_each(|_| range_size.passed());
    assert_eq!(range_size.end(at(0), at(5_000)), at(1_000));
}

#[test]
fn the_end_of_the_calendar_is_no_panic() {
    let last = DateTime::<Utc>::MAX_UTC - TimeDelta::days(2);
    assert_eq!(RangeSize::default().end(last, DateTime::<Utc>::MAX_UTC), DateTime::<Utc>::MAX_UTC);
}

proptest! {
    #[test]
    fn each_microsecond_is_counted_once(from in -50i64..50, length in 0i64..2_000, most in 1i64..300) {
        let (rows, questions) = sum(from, from + length, most).unwrap();
        prop_assert_eq!(rows, length);
        // No more than a constant factor of what a source that never failed would be asked.
        prop_assert!(i64::from(questions) <= 20 + 4 * (length / most + 1));
    }
}

#[test]
fn a_count_reads_no_column_but_the_timestamp() {
    let sql = sums("\"time\"", None);
    assert!(!sql.contains("statement\"") && sql.contains("sum(0)"), "{sql}");
}
