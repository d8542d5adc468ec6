//! Values to pixels, and where the marks of an axis go.

use crate::report::words;

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
const TIME_STEPS: [u32; 24] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_104_000,
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
    let fitting = TIME_STEPS.map(f64::from).into_iter().find(|step| *step >= wanted);
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

    proptest! {
        #[test]
        fn any_length_has_few_marks(seconds in 1e-3..1e9, most in 3usize..12) {
            let marks = marks(seconds, time_step(seconds, most));
            prop_assert!((1..=most + 1).contains(&marks.len()), "{:?}", marks);
        }

        #[test]
        fn any_value_is_inside(value in any::<f64>(), greatest in any::<f64>()) {
            let at = Scale::new(greatest, 10.0, 90.0).at(value);
            let inside = (10.0..=90.0).contains(&at);
            prop_assert!(inside != value.is_nan(), "{}", at);
        }
    }
}
