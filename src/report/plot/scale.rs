//! Values to pixels, and where the marks of an axis go.

use crate::report::words;
use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

/// A linear scale.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    greatest: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// From 0 at pixel `start` to `greatest` at pixel `end`.
    pub fn new(greatest: f64, start: f64, end: f64) -> Scale {
        let greatest = if greatest.is_finite() && greatest > 0.0 { greatest } else { 1.0 };
        Scale { greatest, start, end }
    }

    /// The pixel of a value; values outside are at the edge.
    pub fn at(&self, value: f64) -> f64 {
        let share = (value / self.greatest).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }
}

/// Lengths of time that read well on an axis, in seconds; below and above go powers of ten.
const TIME_STEPS: [f64; 24] = [
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1_800.0,
    3_600.0,
    7_200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    7_776_000.0,
    31_104_000.0,
];

/// The distance of marks so that `greatest` has at most `most` of them: 1, 2 or 5 of a power of ten.
pub fn step(greatest: f64, most: usize) -> f64 {
    let wanted = greatest / most.max(1) as f64;
    if !wanted.is_finite() || wanted <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(wanted.log10().floor());
    let of_ten = [1.0, 2.0, 5.0].into_iter().find(|m| m * power >= wanted * 0.999_999);
    power * of_ten.unwrap_or(10.0)
}

/// The same for a length of time in seconds.
pub fn time_step(seconds: f64, most: usize) -> f64 {
    let wanted = seconds / most.max(1) as f64;
    let fitting = TIME_STEPS.into_iter().find(|step| *step >= wanted);
    match fitting {
        Some(fitting) if wanted > 0.5 => fitting,
        _ => step(seconds, most),
    }
}

/// The marks of a scale from 0 to `greatest`: multiples of `step`, 0 among them.
pub fn marks(greatest: f64, step: f64) -> Vec<f64> {
    const MOST: usize = 20;
    let marks = (0..MOST).map(|n| n as f64 * step);
    marks.take_while(|mark| *mark <= greatest * 1.000_001).collect()
}

/// The first mark that `greatest` does not pass.
pub fn top(greatest: f64, step: f64) -> f64 {
    (greatest / step - 1e-9).ceil().max(1.0) * step
}

/// Marks of a time axis of so many seconds from `from`, at round times of the clock: seconds since
/// `from`, and the label.
pub fn clock_marks(from: DateTime<Utc>, seconds: f64, most: usize) -> Vec<(f64, String)> {
    let step = time_step(seconds, most);
    let of_day = f64::from(from.num_seconds_from_midnight()) + f64::from(from.nanosecond()) / 1e9;
    let offset = (of_day / step).ceil() * step - of_day;
    let marks = marks(seconds - offset, step).into_iter().map(|mark| mark + offset);
    let labelled = marks.filter_map(|mark| {
        let since = TimeDelta::try_milliseconds((mark * 1e3).round() as i64)?;
        Some((mark, label(from.checked_add_signed(since)?, step)))
    });
    labelled.collect()
}

fn label(t: DateTime<Utc>, step: f64) -> String {
    let time = words::time_of_day(t);
    let midnight = t.num_seconds_from_midnight() == 0;
    match step {
        s if s < 1.0 => format!("{time}.{:03}", t.timestamp_subsec_millis()),
        s if s < 60.0 => time,
        s if s > 86_400.0 * 300.0 => words::date(t),
        s if s >= 86_400.0 || midnight => format!("{:02}-{:02}", t.month(), t.day()),
        _ => time[..5].to_owned(),
    }
}

/// A round length of time: `30 s`, `5 min`, `2 h`.
pub fn time_label(seconds: f64) -> String {
    let whole = |unit: f64| seconds >= unit && (seconds / unit).fract() == 0.0;
    let of = |unit: f64, name: &str| format!("{} {name}", words::count((seconds / unit) as i64));
    match () {
        () if whole(86_400.0) => of(86_400.0, "d"),
        () if whole(3_600.0) => of(3_600.0, "h"),
        () if whole(60.0) => of(60.0, "min"),
        () if whole(1.0) => of(1.0, "s"),
        () if seconds > 0.0 => words::span(seconds),
        () => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_round() {
        assert_eq!(step(9_300.0, 5), 2_000.0);
        assert_eq!(marks(9_300.0, 2_000.0), [0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0]);
        assert_eq!(top(9_300.0, 2_000.0), 10_000.0);
        assert_eq!(top(8_000.0, 2_000.0), 8_000.0);
        assert_eq!(time_step(4_000.0, 8), 600.0);
        assert_eq!(time_step(0.8, 5), 0.2);
        assert_eq!(time_label(5_400.0), "90 min");
        assert_eq!(time_label(7_200.0), "2 h");
    }

    #[test]
    fn clock_marks_stand_at_round_times() {
        let from = "2026-11-25T23:10:30Z".parse().unwrap();
        let labels: Vec<String> =
            clock_marks(from, 7_200.0, 8).into_iter().map(|mark| mark.1).collect();
        assert_eq!(
            labels,
            ["23:15", "23:30", "23:45", "11-26", "00:15", "00:30", "00:45", "01:00"]
        );
    }

    proptest! {
        #[test]
        fn any_length_has_few_marks(
            from in -4_000_000_000i64..4_000_000_000, seconds in prop_oneof![1e-3..1e9, 1e-3..1e3],
            most in 3usize..12
        ) {
            let from = DateTime::from_timestamp(from, 0).unwrap();
            let marks = clock_marks(from, seconds, most);
            prop_assert!(marks.len() <= most + 1, "{:?}", marks);
            prop_assert!(marks.iter().all(|m| m.0 >= 0.0 && m.0 <= seconds * 1.01));
        }

        #[test]
        fn any_value_is_inside(value in any::<f64>(), greatest in any::<f64>()) {
            let at = Scale::new(greatest, 10.0, 90.0).at(value);
            prop_assert!(at.is_nan() == value.is_nan() && !(at < 10.0 || at > 90.0));
        }
    }
}
