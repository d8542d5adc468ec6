//! The columns and expressions that stand for a row on each side, and the stage asked by them.

use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::ledger::{self, Pipeline};
use crate::load::{self, RowVersion, StageRow, Target};
use crate::source::{
    COUNT_INSTEAD, Checksum, Digest, Rows, Side, StatementHash, TimeRange, WalkTable, id_of_stage,
};
use crate::threads::ClientWatch;
use crate::transform::{ColumnKind, ColumnMapping, Origin};
use chrono::{DateTime, Utc};
use pgrx::spi::quote_identifier;
use pgrx::{Spi, pg_sys};
use serde::{Deserialize, Serialize};

/// The target column that has the rows' time, by which they belong to a slice.
fn timestamp_column(pipeline: &Pipeline, target: &Target) -> Result<String, Failure> {
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

/// Source, target and rejects as a comparison asks for them; travels to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sides {
    pub source: Side,
    pub target: Side,
    pub rejects: Side,
    /// Whether the target must be seen whole: rows that a policy hides would be taken for missing ones.
    pub needs_all_rows: bool,
}

/// What a comparison is between.
pub struct Compared<'a> {
    pub pipeline: &'a Pipeline,
    pub target: &'a Target,
    pub table: &'a WalkTable,
    pub encoding: &'a str,
    pub digest: Digest,
    /// Whether an index of the source finds the rows of a stretch of time.
    pub source_has_index: bool,
    /// Whose rejects count.
    pub runs: &'a [i64],
}

impl Sides {
    /// Statements are compared where the target has them in `statement`; `ids` makes of a statement's id what
    /// is asked for.
    ///
    /// # Errors
    /// 0A000 where the target has no time of its rows.
    pub fn of(
        compared: &Compared<'_>,
        statement: Option<&ColumnMapping>,
        ids: Ids,
    ) -> Result<Sides, Failure> {
        let Compared { pipeline, target, table, encoding, digest, .. } = *compared;
        let timestamp = timestamp_column(pipeline, target)?;
        let none = || ("0::pg_catalog.int8".to_owned(), "null::pg_catalog.text".to_owned());
        let (of_source, of_target, sent) = match statement {
            None => (none(), none(), none().0),
            Some(column) => {
                let default = column.default.as_deref();
                let hash = StatementHash::new(table.statement_kind, encoding, default, digest);
                let name = quote_identifier(&column.column);
                (
                    (
                        hash.of_source(&table.statement),
                        ids.of(&hash.id_of_source(&table.statement)),
                    ),
                    (hash.of_target(&name), ids.of(&id_of_stage(&name))),
                    hash.of_sent("statement"),
                )
            }
        };
        let side =
            |relation: &str, timestamp: &str, (hash, id): (String, String), has_index| Side {
                relation: relation.to_owned(),
                timestamp: timestamp.to_owned(),
                hash,
                id,
                only: String::new(),
                has_index,
            };
        let target_has_index = load::is_indexed(target, &timestamp)?;
        Ok(Sides {
            source: side(&table.sql_name, &table.timestamp, of_source, compared.source_has_index),
            target: side(
                &target.sql_name,
                &quote_identifier(&timestamp),
                of_target,
                target_has_index,
            ),
            rejects: ledger::reject_side(&pipeline.id, compared.runs, &sent),
            needs_all_rows: ids == Ids::Short,
        })
    }

    /// Runs `f`, which only reads.
    fn look<T>(&self, f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let _watch = ClientWatch::start()?;
        Subtransaction::look(|| {
            if self.needs_all_rows {
                let sql = "select pg_catalog.set_config('row_security', 'off', true)";
                Spi::connect(|client| client.select(sql, Some(1), &[]).map(|_| ()))?;
            }
            f()
        })
        .map_err(|failure| match failure.message.contains("row-level security") {
            true => failure.with_hint("Rows that its policies hide would look like missing ones. Call as the table's owner, or as a role with BYPASSRLS."),
            false => failure,
        })
    }

    /// What ranges come to in the target and in `reject`, seen as the current role does.
    ///
    /// # Errors
    /// 42501 where row security hides rows from it; what the server threw.
    pub fn stage_sums(
        &self,
        ranges: &[TimeRange],
        hashed: bool,
    ) -> Result<Vec<(Checksum, Checksum)>, Failure> {
        self.look(|| {
            let target = load::stage_sums(&self.target, ranges, hashed)?;
            let rejects = ledger::reject_sums(&self.rejects, ranges, hashed)?;
            Ok(target.into_iter().zip(rejects).collect())
        })
    }

    /// What the rows of one timestamp come to in both, by their hashes under `mask`.
    ///
    /// # Errors
    /// As [`Sides::stage_sums`].
    pub fn stage_sums_of_tie(
        &self,
        at: DateTime<Utc>,
        mask: i64,
    ) -> Result<Vec<(i64, Checksum)>, Failure> {
        self.look(|| {
            let mut sums = load::numbered_stage_sums(&self.target.sums_of_tie(at, mask))?;
            sums.extend(ledger::numbered_reject_sums(&self.rejects.sums_of_tie(at, mask))?);
            Ok(sums)
        })
    }

    /// The rows of both; `placed`: with the places of the target's.
    ///
    /// # Errors
    /// As [`Sides::stage_sums`].
    pub fn stage_rows(&self, rows: &Rows, placed: bool) -> Result<Vec<StageRow>, Failure> {
        let further = if placed { RowVersion::COLUMNS } else { "" };
        self.look(|| {
            let mut found = load::target_rows(&self.target.rows(rows, further), placed)?;
            found.extend(ledger::reject_rows(&self.rejects, rows)?);
            Ok(found)
        })
    }
}

/// How much of a statement's id is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// As much as tells the statements of a small range apart.
    Short,
    Whole,
}

impl Ids {
    fn of(self, id: &str) -> String {
        match self {
            Ids::Short => format!("pg_catalog.\"right\"({id}, 12)"),
            Ids::Whole => id.to_owned(),
        }
    }
}
