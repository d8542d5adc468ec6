//! What a range of time comes to: how many rows it holds, at which times, and with which statements.

use super::chunk::{from_wire, to_wire};
use super::connect::Session;
use super::describe::WalkTable;
use super::error::SourceError;
use super::sql::{fill, timestamp_literal};
use chrono::{DateTime, Utc};
use std::ops::AddAssign;

/// What a range holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    pub rows: i64,
    /// The sum of the hashes of their times: rows that came tell from as many that went.
    pub keys: i128,
    /// The sum of the statements' hashes, in whatever order; 0 where they are not read.
    pub hash: i128,
}

impl AddAssign for Checksum {
    fn add_assign(&mut self, other: Checksum) {
        self.rows += other.rows;
        self.keys += other.keys;
        self.hash += other.hash;
    }
}

impl Checksum {
    /// From the columns of [`sums`].
    pub fn from_columns(rows: i64, keys: &str, hash: &str) -> Option<Checksum> {
        Some(Checksum { rows, keys: keys.parse().ok()?, hash: hash.parse().ok()? })
    }

    /// From a row of the source that has them.
    ///
    /// # Errors
    /// [`SourceError`] where it has not, met while doing `action`.
    pub fn from_row(action: &str, row: &postgres::Row) -> Result<Checksum, SourceError> {
        let broken = |message: String| SourceError::permanent(action, "XX000", message);
        let text = |column: &str| row.try_get::<_, String>(column);
        let failed = |e: postgres::Error| broken(e.to_string());
        let rows = row.try_get("rows").map_err(failed)?;
        let (keys, hash) = (text("keys").map_err(failed)?, text("hash").map_err(failed)?);
        Checksum::from_columns(rows, &keys, &hash)
            .ok_or_else(|| broken(format!("{keys} or {hash} is no number")))
    }
}

/// The select list that a [`Checksum`] is made of, over rows whose times and statements' hashes are these
/// expressions; without `hash`, an index alone can answer it.
pub fn sums(timestamp: &str, hash: Option<&str>) -> String {
    fill(include_str!("../../sql/compare/sums.sql"), |name| match name {
        "timestamp" => timestamp,
        _ => hash.unwrap_or("0"),
    })
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
