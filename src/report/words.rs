//! Numbers as a person reads them. Sizes are counted as the server's `pg_size_pretty` does
//! (1 kB = 1024 bytes), times are UTC.

use chrono::{DateTime, Timelike, Utc};

/// Stands where there is no value.
pub const NOTHING: &str = "–";

/// `12,345,678`.
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 row`, `2 rows`. `noun` takes a plain s.
pub fn counted(n: i64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A number without more digits than are meaningful: `28,571`, `8.3`, `0.02`.
pub fn number(n: f64) -> String {
    match n.abs() {
        _ if !n.is_finite() => NOTHING.to_owned(),
        0.0 => "0".to_owned(),
        a if a < 0.095 => format!("{n:.2}"),
        a if a < 99.95 => format!("{n:.1}"),
        // The cast saturates.
        _ => count(n.round() as i64),
    }
}

/// `28,571 rows/s`.
pub fn rows_rate(rows_per_second: f64) -> String {
    format!("{} rows/s", number(rows_per_second))
}

/// `64.9 MB`.
pub fn size(bytes: f64) -> String {
    if !bytes.is_finite() {
        return NOTHING.to_owned();
    }
    let mut amount = bytes;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if amount.abs() < 1023.95 {
            let amount = if unit == "bytes" { format!("{amount:.0}") } else { number(amount) };
            return format!("{amount} {unit}");
        }
        amount /= 1024.0;
    }
    format!("{} PB", number(amount))
}

/// `64.9 MB/s`.
pub fn bytes_rate(bytes_per_second: f64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// A length of time, given in seconds: `12 µs`, `153 ms`, `3.4 s`, `12 min 5 s`, `1 h 12 min`.
pub fn span(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => NOTHING.to_owned(),
        s if s <= 0.0 => "0 s".to_owned(),
        s if s < 0.000_999_5 => format!("{} µs", number(s * 1e6)),
        s if s < 0.099_95 => format!("{:.1} ms", s * 1e3),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        s if s < 59.95 => format!("{s:.1} s"),
        s => long_span(s.round() as u64),
    }
}

fn long_span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {seconds} s"),
        (0, _) => format!("{hours} h {minutes} min"),
        (..1000, _) => format!("{days} d {hours} h"),
        _ => format!("{} d", count(i64::try_from(days).unwrap_or(i64::MAX))),
    }
}

/// A length of time, given in milliseconds.
pub fn millis(ms: f64) -> String {
    span(ms / 1e3)
}

/// `21.3 %`. What is not nothing is not called 0, what is not all is not called 100.
pub fn percent(share: f64) -> String {
    match share {
        s if s.is_nan() => NOTHING.to_owned(),
        s if s <= 0.0 => "0 %".to_owned(),
        s if s < 0.001 => "<0.1 %".to_owned(),
        s if s >= 1.0 => "100 %".to_owned(),
        s if s > 0.999 => ">99.9 %".to_owned(),
        s => format!("{:.1} %", s * 100.0),
    }
}

/// A moment, to the second: `2026-11-25 02:00:00`, without the zone.
pub fn clock(t: DateTime<Utc>) -> String {
    t.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time of day: `02:00:00`.
pub fn time_of_day(t: DateTime<Utc>) -> String {
    t.format("%H:%M:%S").to_string()
}

/// A bound of a period: the day alone where it is midnight.
pub fn bound(t: DateTime<Utc>) -> String {
    match (t.num_seconds_from_midnight(), t.nanosecond()) {
        (0, 0) => date(t),
        (_, 0) => clock(t),
        _ => t.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
    }
}

/// `2026-11-25`.
pub fn date(t: DateTime<Utc>) -> String {
    t.format("%Y-%m-%d").to_string()
}

/// Seconds from one moment to another; less than 0 where `to` is the earlier one.
pub fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    let delta = to - from;
    delta.num_seconds() as f64 + f64::from(delta.subsec_nanos()) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(count(-1_000), "-1,000");
        assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(0, "row"), "0 rows");
    }

    #[test]
    fn sizes_are_those_of_the_server() {
        assert_eq!(size(0.0), "0 bytes");
        assert_eq!(size(1023.0), "1023 bytes");
        assert_eq!(size(1024.0), "1.0 kB");
        assert_eq!(size(68_000_000.0), "64.8 MB");
        assert_eq!(size(1_099_511_627_775.0), "1.0 TB");
        assert_eq!(size(f64::NAN), NOTHING);
    }

    #[test]
    fn spans_are_said_in_two_units_at_most() {
        assert_eq!(span(0.000_021_34), "21.3 µs");
        assert_eq!(span(0.0123), "12.3 ms");
        assert_eq!(span(0.153), "153 ms");
        assert_eq!(span(3.44), "3.4 s");
        assert_eq!(span(59.97), "1 min 0 s");
        assert_eq!(span(7_260.0), "2 h 1 min");
        assert_eq!(span(273_600.0), "3 d 4 h");
        assert_eq!(span(-1.0), "0 s");
    }

    #[test]
    fn percents_never_round_to_nothing_or_all() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_2), "<0.1 %");
        assert_eq!(percent(0.213_4), "21.3 %");
        assert_eq!(percent(0.999_7), ">99.9 %");
        assert_eq!(percent(1.0), "100 %");
    }

    #[test]
    fn a_bound_at_midnight_is_a_day() {
        assert_eq!(bound(at("2025-03-01T00:00:00Z")), "2025-03-01");
        assert_eq!(bound(at("2025-03-01T02:03:04Z")), "2025-03-01 02:03:04");
        assert_eq!(bound(at("2025-03-01T00:00:00.5Z")), "2025-03-01 00:00:00.500000");
    }

    proptest! {
        #[test]
        fn any_number_has_a_short_word(n in any::<f64>()) {
            for word in [number(n), size(n), span(n), percent(n)] {
                prop_assert!(!word.is_empty() && word.chars().count() <= 36, "{}", word);
            }
        }
    }
}
