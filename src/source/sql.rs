//! What the SQL that the source receives is made of: quoted names, and values as literals or as
//! parameters.

use super::places::Places;
use chrono::{DateTime, Datelike, Timelike, Utc};
use postgres::types::{ToSql, Type};

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

/// Puts a value in the place of each name in braces. In one pass: what is put there may hold braces.
pub fn fill<S: AsRef<str>>(template: &str, value: impl Fn(&str) -> S) -> String {
    let mut sql = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        sql.push_str(before);
        sql.push_str(value(name).as_ref());
        rest = tail;
    }
    sql.push_str(rest);
    sql
}

/// Where the values of a query stand.
pub trait Values {
    /// What stands for `timestamp` in the text.
    fn timestamp(&mut self, timestamp: DateTime<Utc>) -> String;
    /// What stands for `integer` in the text.
    fn integer(&mut self, integer: i64) -> String;
}

/// In the text itself: for EXPLAIN, and for what is asked once.
pub struct Literals;

impl Values for Literals {
    fn timestamp(&mut self, timestamp: DateTime<Utc>) -> String {
        timestamp_literal(timestamp)
    }

    fn integer(&mut self, integer: i64) -> String {
        integer.to_string()
    }
}

/// Beside the text, which then is the same for every page: the source parses it once, and
/// pg_stat_statements counts it as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<Parameter>);

/// Sent in binary.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parameter {
    Timestamp(DateTime<Utc>),
    Timestamps(Vec<DateTime<Utc>>),
    Integer(i64),
    Integers(Vec<i64>),
    Places(Places),
}

impl Parameters {
    /// As the client library takes them, with their types.
    pub fn typed(&self) -> impl ExactSizeIterator<Item = (&(dyn ToSql + Sync), Type)> {
        self.0.iter().map(|parameter| {
            let value: &(dyn ToSql + Sync) = match parameter {
                Parameter::Timestamp(timestamp) => timestamp,
                Parameter::Timestamps(timestamps) => timestamps,
                Parameter::Integer(integer) => integer,
                Parameter::Integers(integers) => integers,
                Parameter::Places(places) => places,
            };
            let of = match parameter {
                Parameter::Timestamp(_) => Type::TIMESTAMPTZ,
                Parameter::Timestamps(_) => Type::TIMESTAMPTZ_ARRAY,
                Parameter::Integer(_) => Type::INT8,
                Parameter::Integers(_) => Type::INT8_ARRAY,
                Parameter::Places(_) => Type::TID_ARRAY,
            };
            (value, of)
        })
    }

    /// What stands for an array of `timestamps` in the text.
    pub fn timestamps(&mut self, timestamps: &[DateTime<Utc>]) -> String {
        self.add(Parameter::Timestamps(timestamps.to_vec()), "timestamptz[]")
    }

    /// What stands for an array of `integers` in the text.
    pub fn integers(&mut self, integers: &[i64]) -> String {
        self.add(Parameter::Integers(integers.to_vec()), "int8[]")
    }

    /// What stands for an array of tid in the text.
    pub fn places(&mut self, places: Places) -> String {
        self.add(Parameter::Places(places), "tid[]")
    }

    fn add(&mut self, parameter: Parameter, type_name: &str) -> String {
        self.0.push(parameter);
        format!("${}::pg_catalog.{type_name}", self.0.len())
    }
}

impl Values for Parameters {
    fn timestamp(&mut self, timestamp: DateTime<Utc>) -> String {
        self.add(Parameter::Timestamp(timestamp), "timestamptz")
    }

    fn integer(&mut self, integer: i64) -> String {
        self.add(Parameter::Integer(integer), "int8")
    }
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
