//! Between which two tables a run moved rows: what it pulled counts for a pull between the same two.

#![allow(unsafe_code)]

use crate::backend::query::{Row, select_now, text_argument};
use crate::backend::role::as_owner;
use crate::backend::time::Period;
use crate::error::Failure;
use pgrx::prelude::*;
use std::collections::HashMap;

/// The two tables of a call, by the names that its pipeline has for them.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints<'a> {
    /// The foreign server.
    pub server: &'a str,
    pub source_table: &'a str,
    /// Schema and table, quoted where needed.
    pub target: &'a str,
    pub target_oid: pg_sys::Oid,
}

/// The tables of an earlier run, held against those of a call.
#[derive(Clone, Debug)]
pub struct Route {
    /// Whether it filled the table that the call fills.
    pub same_target: bool,
    /// Whether the table that it filled was dropped: then its name counts.
    pub target_is_gone: bool,
    /// Whether the pipeline had the names for its source then that it has now.
    pub same_source_names: bool,
    /// The source's table, whatever its names; see [`crate::source::Table::identity`].
    pub source_id: Option<String>,
    /// "from … of server … into …"
    pub words: String,
}

impl Route {
    /// Whether what the run pulled counts for the call, whose source is the tables that `is_source`
    /// knows by their identity.
    pub fn counts(&self, is_source: impl FnOnce(&str) -> bool) -> bool {
        self.same_target
            && (self.same_source_names || self.source_id.as_deref().is_some_and(is_source))
    }
}

/// The routes of all runs of the pipeline, by run_id.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn routes(pipeline_id: &str, call: &Endpoints<'_>) -> Result<HashMap<i64, Route>, Failure> {
    let arguments = [
        text_argument(pipeline_id),
        text_argument(call.target),
        (pg_sys::OIDOID, call.target_oid.into()),
        text_argument(call.server),
        text_argument(call.source_table),
    ];
    let sql = include_str!("../../sql/ledger/routes.sql");
    // SAFETY: the values are of these types; the texts live in the caller's memory context.
    let rows = as_owner(|| unsafe { select_now(sql, &arguments, |row| read(row)) })?;
    Ok(rows.into_iter().flatten().collect())
}

/// # Safety
/// The row must be one of `sql/ledger/routes.sql`.
unsafe fn read(row: &Row) -> Option<(i64, Route)> {
    // SAFETY: the columns of the query, in its types.
    unsafe {
        let route = Route {
            same_target: row.get(c"same_target")?,
            target_is_gone: row.get(c"target_is_gone").unwrap_or(false),
            same_source_names: row.get(c"same_source_names")?,
            source_id: row.get(c"source_id"),
            words: row.get(c"words").unwrap_or_default(),
        };
        Some((row.get(c"run_id")?, route))
    }
}

/// Another pipeline that moved rows between the same two tables.
#[derive(Clone, Debug)]
pub struct Sibling {
    pub pipeline: String,
    pub is_deleted: bool,
    /// Its last run that did so.
    pub run_id: i64,
}

/// The pipelines besides that of `pipeline_id` that moved rows of `period` between the tables of the call, and
/// have not forgotten it.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn siblings(
    pipeline_id: &str,
    period: Period,
    call: &Endpoints<'_>,
) -> Result<Vec<Sibling>, Failure> {
    let [from, to] = period.arguments();
    let arguments = [
        text_argument(pipeline_id),
        from,
        to,
        text_argument(call.target),
        text_argument(call.server),
        text_argument(call.source_table),
    ];
    let sql = include_str!("../../sql/ledger/siblings.sql");
    // SAFETY: the values are of these types, as are the columns; the texts live in the caller's
    // memory context.
    let rows = as_owner(|| unsafe {
        select_now(sql, &arguments, |row| {
            Some(Sibling {
                pipeline: row.get(c"pipeline")?,
                is_deleted: row.get(c"is_deleted")?,
                run_id: row.get(c"run_id")?,
            })
        })
    })?;
    Ok(rows.into_iter().flatten().collect())
}
