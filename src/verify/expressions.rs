//! The columns and expressions that stand for a row on each side.

use crate::error::Failure;
use crate::ledger::Pipeline;
use crate::load::Target;
use crate::plan::Layout;
use crate::source::{COUNT_INSTEAD, NO_HASH, StatementHash};
use crate::transform::{ColumnKind, ColumnMapping, Origin};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The target column that has the rows' time, by which they belong to a slice.
pub fn timestamp_column(pipeline: &Pipeline, target: &Target) -> Result<String, Failure> {
    let whole = |column: &&ColumnMapping| {
        target.column(&column.column).is_some_and(|c| {
            // A precision below microseconds rounds, and may move a row into the next slice.
            pg_sys::Oid::from(c.type_oid) == pg_sys::TIMESTAMPTZOID
                && !(0..6).contains(&c.type_modifier)
        })
    };
    let mut columns = pipeline.mapping.filled_from_source(&pipeline.timestamp_column);
    columns.find(whole).map(|c| c.column.clone()).ok_or_else(|| {
        Failure::new(
            "0A000",
            format!(
                "the mapping fills no timestamptz column of {} from the source's column \"{}\"",
                target.sql_name, pipeline.timestamp_column
            ),
        )
        .with_detail("That column determines the period to which a row of the target belongs.")
        .with_hint("Add one to lrs_extract.pipeline.mapping: \"column\": {\"source\": \"…\"}.")
    })
}

/// The mapping of the target column that has the whole statement, as JSON.
pub fn statement_column(pipeline: &Pipeline, target: &Target) -> Result<ColumnMapping, Failure> {
    let columns = pipeline.mapping.columns.iter();
    for column in columns.filter(|column| column.origin == Origin::Statement) {
        if !matches!(target.find(&column.column)?.kind, ColumnKind::Other | ColumnKind::Local) {
            return Ok(column.clone());
        }
    }
    Err(Failure::new(
        "0A000",
        format!(
            "the mapping fills no jsonb, json or text column of {} with the whole statement",
            target.sql_name
        ),
    )
    .with_detail("The level 'hash' compares statements whole.")
    .with_hint(COUNT_INSTEAD))
}

/// The expressions that stand for the statements of many rows, one a side.
pub struct Hashes {
    pub source: String,
    pub target: String,
    /// Over the text of the rejects.
    pub sent: String,
}

impl Hashes {
    pub fn of(statement: Option<ColumnMapping>, layout: &Layout) -> Hashes {
        let Some(column) = statement else {
            let [source, target, sent] = [NO_HASH; 3].map(str::to_owned);
            return Hashes { source, target, sent };
        };
        let table = &layout.table;
        let default = column.default.as_deref();
        let hash = StatementHash::new(table.statement_kind, &table.encoding, default);
        Hashes {
            source: hash.of_source(&table.for_walk().statement),
            target: hash.of_target(&quote_identifier(&column.column)),
            sent: hash.of_sent("statement"),
        }
    }
}
