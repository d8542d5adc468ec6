//! How many rows a range of time holds, and what their statements come to: the source's side of a
//! comparison, and the expressions that both sides must share.

use super::chunk::{from_wire, to_wire};
use super::connect::Session;
use super::describe::{StatementKind, WalkTable};
use super::error::SourceError;
use super::keyset::range_condition;
use super::sql::{Literals, quote_literal, timestamp_literal};
use crate::slice::{Edge, Interval};
use chrono::{DateTime, Utc};
use std::ops::AddAssign;

/// What a range holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    pub rows: i64,
    /// The sum of the statements' hashes, in whatever order; 0 where they are not read.
    pub hash: i128,
}

impl AddAssign for Checksum {
    fn add_assign(&mut self, other: Checksum) {
        self.rows += other.rows;
        self.hash += other.hash;
    }
}

impl Checksum {
    /// From the two columns of a query that ends in a hash expression.
    pub fn from_columns(rows: i64, hash: &str) -> Option<Checksum> {
        Some(Checksum { rows, hash: hash.parse().ok()? })
    }
}

/// The hash expression of a count that reads no statement.
pub const NO_HASH: &str = "'0'";

/// How the statements of a pipeline become text that is the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementHash {
    kind: StatementKind,
    /// Whether jsonb has the same order of keys on both sides.
    same_order: bool,
    /// What the mapping puts in the place of no statement.
    default: Option<String>,
}

impl StatementHash {
    /// For statements of `kind` in a source database of `encoding`.
    pub fn new(kind: StatementKind, encoding: &str, default: Option<&str>) -> StatementHash {
        StatementHash {
            kind,
            // jsonb keeps keys by the length and value of their bytes. SQL_ASCII is bytes as they
            // are, and what arrived at the stage was UTF-8.
            same_order: matches!(encoding, "UTF8" | "SQL_ASCII"),
            default: default.map(quote_literal),
        }
    }

    /// The sum of hashes over the source's `column`.
    pub fn of_source(&self, column: &str) -> String {
        match self.kind {
            StatementKind::Jsonb => self.of_jsonb(column),
            StatementKind::Text => self.of_jsonb(&format!("{column}::pg_catalog.jsonb")),
        }
    }

    /// The sum of hashes over the target's `column`, be it jsonb, json or text.
    pub fn of_target(&self, column: &str) -> String {
        self.of_jsonb(&format!("{column}::pg_catalog.jsonb"))
    }

    /// The sum of hashes over a text `column` that has the statements as the source sent them.
    pub fn of_sent(&self, column: &str) -> String {
        match self.kind {
            // It is jsonb's text already, and the stage's jsonb may not be able to hold it.
            StatementKind::Jsonb if self.same_order => self.of_text(&match &self.default {
                Some(default) => {
                    format!("coalesce({column}, {default}::pg_catalog.jsonb::pg_catalog.text)")
                }
                None => column.to_owned(),
            }),
            _ => self.of_jsonb(&format!("{column}::pg_catalog.jsonb")),
        }
    }

    fn of_jsonb(&self, value: &str) -> String {
        let value = match &self.default {
            Some(default) => format!("coalesce({value}, {default}::pg_catalog.jsonb)"),
            None => value.to_owned(),
        };
        if self.same_order {
            return self.of_text(&format!("({value})::pg_catalog.text"));
        }
        self.of_text(&format!(include_str!("../../sql/source/statement_paths.sql"), value = value))
    }

    fn of_text(&self, text: &str) -> String {
        format!(include_str!("../../sql/source/statement_hash.sql"), text = text)
    }
}

/// The query for a range's checksum; with [`NO_HASH`] an index alone can answer it.
pub fn checksum_query(table: &WalkTable, range: &Interval, hash: &str) -> String {
    format!(
        "select pg_catalog.count(*), {hash} from {} where {}",
        table.sql_name,
        range_condition(table, range, &mut Literals)
    )
}

/// Counts the rows of `[from, to)`.
///
/// # Errors
/// [`SourceError`] as the source reports it.
pub fn checksum(
    session: &mut Session,
    table: &WalkTable,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    hash: &str,
) -> Result<Checksum, SourceError> {
    let action = "count a slice of the source";
    let range = Interval::new(Edge::Before(from), Edge::Before(to));
    let row = session
        .one(action, &checksum_query(table, &range, hash))
        .map_err(|error| with_way_out(error, hash))?;
    let broken = |message: String| SourceError::permanent(action, "XX000", message);
    let rows: i64 = row.try_get(0).map_err(|e| broken(e.to_string()))?;
    let hash: String = row.try_get(1).map_err(|e| broken(e.to_string()))?;
    Checksum::from_columns(rows, &hash).ok_or_else(|| broken(format!("{hash} is no number")))
}

/// The actors of a timestamp, at most ten.
///
/// # Errors
/// [`SourceError`] as the source reports it.
pub fn actors_at(
    session: &mut Session,
    table: &WalkTable,
    timestamp: DateTime<Utc>,
) -> Result<Vec<Option<i64>>, SourceError> {
    let sql = format!(
        "select {}::pg_catalog.int8 from {} where {} = {} limit 10",
        table.actor,
        table.sql_name,
        table.timestamp,
        timestamp_literal(timestamp)
    );
    let failed = |e| SourceError::from_client("look for a row of the source", &e);
    let rows = session.query(&sql, &[]).map_err(failed)?;
    rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}

/// Where a statement is no jsonb, and only the hash needs it to be.
fn with_way_out(error: SourceError, hash: &str) -> SourceError {
    let odd = hash != NO_HASH && is_about_a_value(&error.sqlstate);
    if odd { error.with_hint(COUNT_INSTEAD) } else { error }
}

/// Whether an error is one of a single value: a bad one (class 22), one beyond a limit (54), or one that
/// storage has damaged.
pub fn is_about_a_value(sqlstate: &str) -> bool {
    ["22", "54"].iter().any(|class| sqlstate.starts_with(class)) || sqlstate == "XX001"
}

/// The hint where statements cannot be hashed.
pub const COUNT_INSTEAD: &str =
    "level => 'count' compares the numbers of rows without reading statements.";

/// How much time one question to the source spans: half as much after each that took too long,
/// twice as much again when a few have passed.
#[derive(Clone, Copy, Debug)]
pub struct RangeSize {
    micros: i64,
    passed: u32,
}

/// So many questions must pass before the next asks for more.
const PASSES_TO_GROW: u32 = 8;

impl Default for RangeSize {
    fn default() -> Self {
        RangeSize { micros: i64::MAX, passed: 0 }
    }
}

impl RangeSize {
    /// The end of the next question about `[from, to)`.
    pub fn end(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
        to_wire(from).checked_add(self.micros).and_then(from_wire).map_or(to, |end| end.min(to))
    }

    /// The question about `[from, to)` took too long; false when it cannot be divided.
    pub fn halve(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        let asked = to_wire(to) - to_wire(from);
        if asked <= 1 {
            return false;
        }
        *self = RangeSize { micros: asked - asked / 2, passed: 0 };
        true
    }

    pub fn passed(&mut self) {
        self.passed += 1;
        if self.passed >= PASSES_TO_GROW {
            *self = RangeSize { micros: self.micros.saturating_mul(2), passed: 0 };
        }
    }
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
