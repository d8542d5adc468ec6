//! The facts of a run, read for its report.

use super::stage;
use crate::backend::role::as_owner;
use crate::error::Failure;
use crate::report::Facts;
use pgrx::prelude::*;

/// All that the ledger knows of a run; `None` when there is no such run.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn facts(run_id: i64) -> Result<Option<Facts>, Failure> {
    let Some(json) = as_owner(|| read(run_id))? else { return Ok(None) };
    serde_json::from_str(&json)
        .map(Some)
        .map_err(|e| Failure::internal(format!("the facts of run {run_id} cannot be read: {e}")))
}

fn read(run_id: i64) -> Result<Option<String>, pgrx::spi::Error> {
    let target = super::run::target_of(run_id)?;
    let now = stage::counters(target.as_deref())?;
    let sql = include_str!("../../sql/ledger/report.sql");
    Spi::connect(|client| {
        let mut rows = client.select(sql, Some(1), &[run_id.into(), now.into()])?;
        rows.next().map_or(Ok(None), |row| row.get(1))
    })
}
