//! A row of the table `pipeline`.

#![allow(unsafe_code)]

use super::max_rejects::MaxRejects;
use crate::backend::query::{Query, Row, text_argument};
use crate::backend::role::as_owner;
use crate::error::Failure;
use crate::load::OnConflict;
use crate::slice::Width;
use crate::source::TableNames;
use crate::transform::{Mapping, OnBadValue};
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::time::Duration;

/// What is pulled from where to where, and how.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub name: String,
    /// What the ledger knows it by, under whatever name: a uuid.
    pub id: String,
    pub server: String,
    pub source_table: String,
    pub timestamp_column: String,
    pub actor_column: String,
    pub statement_column: String,
    pub target_table: String,
    pub mapping: Mapping,
    pub slice_width: Width,
    pub on_bad_value: OnBadValue,
    pub settle: Duration,
    pub source_limits: SourceLimits,
    /// How partitions are walked: 'auto', 'key' or 'heap'.
    pub walk: WalkMode,
    pub on_conflict: OnConflict,
    pub max_rejects: MaxRejects,
    /// Of times without a zone that go into a timestamptz.
    pub time_zone: String,
    /// As [`PipelineVersion::definition`]; `None` where nobody else can change the row: this very
    /// transaction wrote it, and a worker cannot see it.
    pub definition: Option<String>,
}

/// How partitions are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkMode {
    /// By what the source's statistics make of either.
    Auto,
    Key,
    Heap,
}

impl WalkMode {
    /// Reads the column `walk`.
    fn parse(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(WalkMode::Auto),
            "key" => Some(WalkMode::Key),
            "heap" => Some(WalkMode::Heap),
            _ => None,
        }
    }
}

/// How the source is treated; may change at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLimits {
    pub retries: u32,
    pub retry_delay: Duration,
    /// For all workers together.
    pub max_bytes_per_second: Option<u64>,
    pub pause_while: Option<String>,
}

impl SourceLimits {
    /// The bytes per second of one of `readers` that read at the same time.
    pub fn rate(&self, readers: u32) -> Option<u64> {
        let readers = u64::from(readers.max(1));
        self.max_bytes_per_second.map(|rate| (rate / readers).max(1))
    }
}

/// A pipeline's row as a running pull last read it.
#[derive(Clone, Debug)]
pub struct PipelineVersion {
    pub source_limits: SourceLimits,
    /// All that a run takes as given, as a JSON object of columns; the same text, the same definition.
    pub definition: String,
}

impl Pipeline {
    /// Reads the pipeline of that name.
    ///
    /// # Errors
    /// 42704 when there is none, naming those that are; 22023 when its mapping cannot be read.
    pub fn read(name: &str) -> Result<Pipeline, Failure> {
        let (pipeline, unreadable) = Pipeline::look(name)?;
        unreadable.map_or(Ok(pipeline), Err)
    }

    /// The same with an empty mapping where it cannot be read, and why it cannot.
    ///
    /// # Errors
    /// 42704 when there is none, naming those that are.
    pub fn look(name: &str) -> Result<(Pipeline, Option<Failure>), Failure> {
        let found = find(name, |row| pipeline(name, row))?;
        found.ok_or_else(|| {
            let names = as_owner(names).unwrap_or_default();
            Failure::new("42704", format!("pipeline \"{name}\" does not exist"))
                .with_detail(format!("Pipelines of this database: {names}."))
                .with_hint("Add one: insert into lrs_extract.pipeline (name, …) values ('…', …);")
        })
    }

    /// By what names the source has its rows, `extra` columns among them.
    pub fn source_names(&self, extra: &[String]) -> TableNames {
        TableNames {
            table: self.source_table.clone(),
            timestamp: self.timestamp_column.clone(),
            actor: self.actor_column.clone(),
            statement: self.statement_column.clone(),
            extra: extra.to_vec(),
        }
    }
}

impl PipelineVersion {
    /// How the pipeline of that name stands now; `None` when it is gone.
    ///
    /// # Errors
    /// [`Failure`] when the ledger cannot be read.
    pub fn read(name: &str) -> Result<Option<PipelineVersion>, Failure> {
        find(name, version)
    }
}

fn names() -> Result<String, pgrx::spi::Error> {
    let sql = "select string_agg(name, ', ' order by name) from lrs_extract.pipeline";
    // Not by get_one, which takes a transaction id.
    let names =
        Spi::connect(|client| client.select(sql, Some(1), &[])?.first().get_one::<String>())?;
    Ok(names.unwrap_or_else(|| "none".to_owned()))
}

/// A row of `sql/ledger/pipeline.sql`.
struct Found<'a>(&'a Row);

/// Reads what is committed now: a run is held against that, not against an old snapshot.
fn find<T>(name: &str, mut read: impl FnMut(&Found<'_>) -> T) -> Result<Option<T>, Failure> {
    static PIPELINE: Query =
        Query::new(include_str!("../../sql/ledger/pipeline.sql"), &[pg_sys::TEXTOID]);
    let mut values = [text_argument(name).1];
    // SAFETY: one text; the columns are read by Found.
    let rows = as_owner(|| unsafe { PIPELINE.rows(&mut values, |row| read(&Found(row))) })?;
    Ok(rows.into_iter().next())
}

impl Found<'_> {
    fn text(&self, column: &CStr) -> Option<String> {
        // SAFETY: asked for the columns that are text.
        unsafe { self.0.get(column) }
    }

    fn int(&self, column: &CStr) -> i32 {
        // SAFETY: asked for the columns that are int.
        unsafe { self.0.get(column) }.unwrap_or_default()
    }

    fn bigint(&self, column: &CStr) -> Option<i64> {
        // SAFETY: asked for the columns that are bigint.
        unsafe { self.0.get(column) }
    }

    fn duration(&self, micros: &CStr) -> Duration {
        let micros = self.bigint(micros).unwrap_or_default();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Whether the transaction that asks wrote the row.
    fn is_own(&self) -> bool {
        let writer = self.bigint(c"written_by").and_then(|xid| u32::try_from(xid).ok());
        writer.is_some_and(|xid| {
            // SAFETY: looks the number up among those of the running transaction.
            unsafe { pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::TransactionId::from(xid)) }
        })
    }
}

fn version(row: &Found<'_>) -> PipelineVersion {
    PipelineVersion {
        source_limits: SourceLimits {
            retries: u32::try_from(row.int(c"retries")).unwrap_or(0),
            retry_delay: row.duration(c"retry_delay_micros"),
            max_bytes_per_second: row
                .bigint(c"max_bytes_per_second")
                .and_then(|rate| u64::try_from(rate).ok()),
            pause_while: row.text(c"pause_while"),
        },
        definition: row.text(c"definition").unwrap_or_default(),
    }
}

fn pipeline(name: &str, row: &Found<'_>) -> (Pipeline, Option<Failure>) {
    let text = |column| row.text(column).unwrap_or_default();
    let PipelineVersion { source_limits, definition } = version(row);
    let (mapping, unreadable) = match Mapping::parse(&text(c"mapping")) {
        Ok(mapping) => (mapping, None),
        Err(error) => (Mapping { columns: Vec::new() }, Some(Failure::from(error))),
    };
    let pipeline = Pipeline {
        name: name.to_owned(),
        id: text(c"pipeline_id"),
        server: text(c"server"),
        source_table: text(c"source_table"),
        timestamp_column: text(c"timestamp_column"),
        actor_column: text(c"actor_column"),
        statement_column: text(c"statement_column"),
        target_table: text(c"target_table"),
        mapping,
        slice_width: Width {
            months: u32::try_from(row.int(c"width_months")).unwrap_or(0),
            days: u64::try_from(row.int(c"width_days")).unwrap_or(0),
            micros: row.bigint(c"width_micros").unwrap_or_default(),
        },
        on_bad_value: OnBadValue::parse(&text(c"on_bad_value")).unwrap_or(OnBadValue::Reject),
        settle: row.duration(c"settle_micros"),
        source_limits,
        walk: WalkMode::parse(&text(c"walk")).unwrap_or(WalkMode::Auto),
        on_conflict: OnConflict::parse(&text(c"on_conflict")).unwrap_or_default(),
        max_rejects: row
            .text(c"max_rejects")
            .and_then(|text| MaxRejects::parse(&text))
            .unwrap_or_default(),
        time_zone: text(c"time_zone"),
        definition: (!row.is_own()).then_some(definition),
    };
    (pipeline, unreadable)
}
