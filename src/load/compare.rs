//! The stage's side of a comparison: what ranges of time come to, and their rows.

#![allow(unsafe_code)]

use super::row_versions::{RowVersion, RowVersions, remove_in_parts};
use super::target::Target;
use crate::backend::query::{Row, select_now};
use crate::backend::role::as_owner;
use crate::backend::time::{from_server, to_server};
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::source::{Checksum, Digest, Parameter, Question, Side, TimeRange, fill};
use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// A row of the stage, as it is compared.
#[derive(Clone, Debug)]
pub struct StageRow {
    pub at: DateTime<Utc>,
    pub hash: i64,
    pub id: Option<String>,
    pub place: StagePlace,
}

/// Where a row of the stage is.
#[derive(Clone, Copy, Debug)]
pub enum StagePlace {
    /// In the target; where, if that was asked for.
    Target(Option<RowVersion>),
    /// In the table `reject`, by its number; `unread`: its statement is not as the source has it.
    Reject { reject_id: i64, unread: bool },
}

/// Whether this server has md5.
///
/// # Errors
/// [`Failure`] for other errors than of md5 itself.
pub fn stage_digest() -> Result<Digest, Failure> {
    let ask = || Spi::connect(|client| client.select(Digest::ASK, Some(1), &[]).map(|_| ()));
    match Subtransaction::run(ask) {
        Ok(asked) => Ok(asked.map(|()| Digest::Md5)?),
        Err(failure) if failure.sqlstate == "57014" => Err(failure),
        Err(_) => Ok(Digest::Sha256),
    }
}

/// What each of `ranges` comes to, which ascend and do not overlap.
///
/// # Errors
/// [`Failure`] when SPI refuses; what the server throws passes through.
pub fn stage_sums(
    side: &Side,
    ranges: &[TimeRange],
    hashed: bool,
) -> Result<Vec<Checksum>, Failure> {
    let mut sums = vec![Checksum::default(); ranges.len()];
    let place = side.places(ranges);
    for (n, sum) in numbered_stage_sums(&side.sums(ranges, hashed))? {
        if let Some(range) = place(n).and_then(|n| sums.get_mut(n)) {
            *range += sum;
        }
    }
    Ok(sums)
}

/// Sums, each with its number.
///
/// # Errors
/// As [`stage_sums`].
pub fn numbered_stage_sums(question: &Question) -> Result<Vec<(i64, Checksum)>, Failure> {
    let read = |row: &Row| {
        // SAFETY: the columns of the question, in its types.
        unsafe {
            let (keys, hash) = (row.get::<String>(c"keys")?, row.get::<String>(c"hash")?);
            let sum = Checksum::from_columns(row.get(c"rows")?, &keys, &hash)?;
            Some((row.get::<i64>(c"n")?, sum))
        }
    };
    answer(question, read)?
        .into_iter()
        .map(|sum| sum.ok_or_else(|| Failure::internal("a count gave no number")))
        .collect()
}

/// The rows of a question about the target; `placed`: it also asks where they are.
///
/// # Errors
/// As [`stage_sums`].
pub fn target_rows(question: &Question, placed: bool) -> Result<Vec<StageRow>, Failure> {
    let read = |row: &Row| {
        // SAFETY: the columns of the question, in its types.
        let place = if placed { unsafe { Some(RowVersion::read(row)?) } } else { None };
        stage_row(row, StagePlace::Target(place))
    };
    stage_rows(question, read)
}

/// The rows of a question that `read` reads.
///
/// # Errors
/// As [`stage_sums`].
pub fn stage_rows(
    question: &Question,
    read: impl FnMut(&Row) -> Option<StageRow>,
) -> Result<Vec<StageRow>, Failure> {
    answer(question, read)?
        .into_iter()
        .map(|row| row.ok_or_else(|| Failure::internal("a row of the stage without a time")))
        .collect()
}

/// A row that is at `place`.
pub fn stage_row(row: &Row, place: StagePlace) -> Option<StageRow> {
    // SAFETY: the columns that every question about rows has.
    unsafe {
        Some(StageRow {
            at: from_server(row.get::<TimestampWithTimeZone>(c"at")?)?,
            hash: row.get(c"hash")?,
            id: row.get(c"id"),
            place,
        })
    }
}

fn answer<T>(question: &Question, read: impl FnMut(&Row) -> T) -> Result<Vec<T>, Failure> {
    let time = |t: &DateTime<Utc>| {
        to_server(*t).ok_or_else(|| Failure::internal("a range without a bound"))
    };
    let null = pg_sys::Datum::from(0);
    let mut arguments = Vec::with_capacity(question.parameters.len());
    for parameter in &question.parameters {
        arguments.push(match parameter {
            Parameter::Timestamp(t) => {
                (pg_sys::TIMESTAMPTZOID, time(t)?.into_datum().unwrap_or(null))
            }
            Parameter::Timestamps(times) => {
                let times: Vec<_> = times.iter().map(time).collect::<Result<_, _>>()?;
                (pg_sys::TIMESTAMPTZARRAYOID, times.into_datum().unwrap_or(null))
            }
            Parameter::Integer(n) => (pg_sys::INT8OID, n.into_datum().unwrap_or(null)),
            Parameter::Integers(integers) => {
                (pg_sys::INT8ARRAYOID, integers.clone().into_datum().unwrap_or(null))
            }
        });
    }
    // SAFETY: the values are of these types, and live in the caller's memory context; `read` knows the
    // question's columns.
    unsafe { select_now(&question.sql, &arguments, read) }
}

/// Removes rows of `target` that are still as they were found, but for those that a constraint or a trigger
/// keeps; returns how many went, and what kept a row. `timestamp` is the column of their time, quoted.
///
/// # Errors
/// [`Failure`] when the statement cannot be run.
pub fn remove_rows(
    target: &Target,
    timestamp: &str,
    rows: RowVersions,
) -> Result<(usize, Option<Failure>), Failure> {
    if rows.is_empty() {
        return Ok((0, None));
    }
    let sql = fill(include_str!("../../sql/target/remove_rows.sql"), |name| match name {
        "target" => target.sql_name.as_str(),
        _ => timestamp,
    });
    remove_in_parts(rows, |rows| {
        Spi::connect_mut(|client| {
            client.update(&sql, None, &rows.arguments()).map(|removed| removed.len())
        })
        .map_err(Failure::from)
    })
}

/// Whether an index of the target finds the rows of a stretch of time: one that begins with `column`.
///
/// # Errors
/// [`Failure`] when the catalog cannot be read.
pub fn is_indexed(target: &Target, column: &str) -> Result<bool, Failure> {
    let sql = include_str!("../../sql/target/is_indexed.sql");
    let arguments = [pg_sys::Oid::from(target.oid).into(), column.into()];
    // Not as what may write: a verification takes no transaction number.
    let found = as_owner(|| {
        Spi::connect(|client| {
            let mut rows = client.select(sql, Some(1), &arguments)?;
            rows.next().map_or(Ok(None), |row| row.get::<bool>(1))
        })
    })?;
    Ok(found.unwrap_or(false))
}
