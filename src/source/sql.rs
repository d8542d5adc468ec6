//! Quoting for the SQL that the source receives, where no parameters can be bound (COPY).

use chrono::{DateTime, Datelike, Timelike, Utc};

/// Quotes `name` as an SQL identifier.
pub fn quote_identifier(name: &str) -> String {
    postgres_protocol::escape::escape_identifier(name)
}

/// Quotes `text` as an SQL literal, whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    postgres_protocol::escape::escape_literal(text)
}

/// `timestamp` as a `timestamptz` literal: microseconds, UTC, the era spelled out where needed
/// (ISO 8601's year 0 is PostgreSQL's `0001 BC`).
pub fn timestamp_literal(timestamp: DateTime<Utc>) -> String {
    let (year, era) = match timestamp.year() {
        year if year > 0 => (year, ""),
        year => (1 - year, " BC"),
    };
    format!(
        "'{year:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00{era}'::pg_catalog.timestamptz",
        timestamp.month(),
        timestamp.day(),
        timestamp.hour(),
        timestamp.minute(),
        timestamp.second(),
        timestamp.nanosecond() / 1_000,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_keep_their_microseconds() {
        let t: DateTime<Utc> = "2025-03-01T02:03:04.000005Z".parse().unwrap();
        assert_eq!(timestamp_literal(t), "'2025-03-01 02:03:04.000005+00'::pg_catalog.timestamptz");
    }

    #[test]
    fn years_before_christ_and_past_ten_thousand() {
        let bc = DateTime::from_timestamp(-62_200_000_000, 0).unwrap();
        assert!(timestamp_literal(bc).contains(" BC'"), "{}", timestamp_literal(bc));
        let far = DateTime::from_timestamp(400_000_000_000, 0).unwrap();
        assert!(timestamp_literal(far).starts_with("'14645-"), "{}", timestamp_literal(far));
    }

    #[test]
    fn hostile_text_stays_one_literal() {
        assert_eq!(quote_literal("a'b"), "'a''b'");
        assert_eq!(quote_literal(r"a\'b"), r" E'a\\''b'");
        assert_eq!(quote_identifier(r#"a"; drop table x"#), r#""a""; drop table x""#);
    }
}
