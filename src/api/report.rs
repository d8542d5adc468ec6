//! `lrs_extract.report`.

use super::arguments::{no_such_run, present};
use crate::backend::extension::check_version;
use crate::error::{Failure, or_raise};
use crate::ledger;
use crate::report::{Format, render};
use pgrx::prelude::*;

/// What a run was like, or is like so far: as text for a terminal, or as one HTML page. A role
/// that may call it sees all that the ledger has of the run.
#[pg_extern(volatile, parallel_unsafe)]
fn report(run_id: Option<i64>, format: default!(Option<String>, "'text'")) -> String {
    or_raise(write(run_id, format))
}

fn write(run_id: Option<i64>, format: Option<String>) -> Result<String, Failure> {
    const HINT: &str = "select lrs_extract.report(max(run_id), 'text') from lrs_extract.run;";
    check_version()?;
    let run_id = present(run_id, "run_id").map_err(|f| f.with_hint(HINT))?;
    let word = present(format, "format").map_err(|f| f.with_hint(HINT))?;
    let format = Format::parse(&word).ok_or_else(|| {
        Failure::argument(format!("\"format\" must be 'text' or 'html', not '{word}'"))
            .with_hint(HINT)
    })?;
    let facts = ledger::facts(run_id)?.ok_or_else(|| no_such_run(run_id))?;
    Ok(render(&facts, format))
}
