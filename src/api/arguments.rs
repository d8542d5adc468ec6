//! Arguments that several functions share, and what is said when they are wrong.

use crate::backend::role::as_owner;
use crate::backend::time::{Period, from_server};
use crate::error::{Failure, notice};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// Checks the two arguments of a period. Where they seem to be dates of the session's time zone, a NOTICE
/// says which instants they are: a scheduler's session may have another zone.
///
/// # Errors
/// 22004 for a null, 22023 for a period that ends before it begins.
pub fn check_period(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
) -> Result<Period, Failure> {
    let period = Period { from: present(from, "from")?, to: present(to, "to")? };
    // A period needs a start before the end of time, and an end after its beginning.
    let infinite = |t: TimestampWithTimeZone| from_server(t).is_none();
    let beyond = infinite(period.from) && period.from.into_inner() > 0
        || infinite(period.to) && period.to.into_inner() < 0;
    if beyond || period.from.into_inner() > period.to.into_inner() {
        return Err(Failure::argument("the period ends before it begins")
            .with_detail(format!(
                "\"from\" is {}, \"to\" is {}.",
                in_words(period.from),
                in_words(period.to)
            ))
            .with_hint("Give the earlier time first; \"to\" itself is not part of the period."));
    }
    if let Some(instants) = local_dates(period)? {
        notice(&instants);
    }
    Ok(period)
}

fn local_dates(period: Period) -> Result<Option<String>, Failure> {
    let sql = include_str!("../../sql/plan/local_dates.sql");
    // As the owner for the sake of the search path; the time zone stays the session's.
    let said = as_owner(|| {
        Spi::connect(|client| {
            let mut rows = client.select(sql, Some(1), &[period.from.into(), period.to.into()])?;
            rows.next().map(|row| row.get::<String>(1)).transpose()
        })
    })?;
    Ok(said.flatten())
}

fn in_words(timestamp: TimestampWithTimeZone) -> String {
    match from_server(timestamp) {
        Some(t) => t.to_string(),
        None if timestamp.into_inner() < 0 => "-infinity".to_owned(),
        None => "infinity".to_owned(),
    }
}

/// An argument that must not be null.
///
/// # Errors
/// 22004 naming the argument.
pub fn present<T>(value: Option<T>, name: &str) -> Result<T, Failure> {
    value.ok_or_else(|| {
        Failure::new("22004", format!("argument \"{name}\" must not be null"))
            .with_detail("No argument of this function may be null.")
            .with_hint("Give it a value, or leave it out if it has a default; a period is two times: '2025-03-01', '2025-04-01'.")
    })
}

/// The error for a run that the ledger does not have.
pub fn no_such_run(run_id: i64) -> Failure {
    Failure::new("42704", format!("run {run_id} does not exist"))
        .with_hint("select run_id, state from lrs_extract.runs;")
}

/// A count that must be at least 1.
///
/// # Errors
/// 22004 for null, 22023 below 1.
pub fn at_least_one(value: Option<i32>, name: &str, hint: &str) -> Result<i32, Failure> {
    match present(value, name)? {
        value if value >= 1 => Ok(value),
        value => Err(Failure::argument(format!("\"{name}\" must be at least 1, not {value}"))
            .with_hint(hint)),
    }
}
