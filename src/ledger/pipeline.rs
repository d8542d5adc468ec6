//! A row of the table `pipeline`.

use super::as_owner;
use crate::error::Failure;
use crate::slice::Width;
use crate::transform::{Mapping, OnBadValue};
use pgrx::prelude::*;
use std::time::Duration;

/// What is pulled from where to where, and how.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub name: String,
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
    pub retries: u32,
    pub retry_delay: Duration,
    pub max_bytes_per_second: Option<u64>,
    pub pause_while: Option<String>,
}

impl Pipeline {
    /// Reads the pipeline of that name.
    ///
    /// # Errors
    /// 42704 when there is none, naming those that are; 22023 when its mapping cannot be read.
    pub fn read(name: &str) -> Result<Pipeline, Failure> {
        as_owner(|| read(name))?.ok_or_else(|| {
            let names = as_owner(names).unwrap_or_default();
            Failure::new("42704", format!("pipeline \"{name}\" does not exist"))
                .with_detail(format!("Pipelines of this database: {names}."))
                .with_hint("Add one: insert into lrs_extract.pipeline (name, …) values ('…', …);")
        })?
    }
}

fn names() -> Result<String, pgrx::spi::Error> {
    let sql = "select string_agg(name, ', ' order by name) from lrs_extract.pipeline";
    Ok(Spi::get_one::<String>(sql)?.unwrap_or_else(|| "none".to_owned()))
}

fn read(name: &str) -> Result<Option<Result<Pipeline, Failure>>, pgrx::spi::Error> {
    Spi::connect(|client| {
        let sql = include_str!("../../sql/ledger/pipeline.sql");
        let Some(row) = client.select(sql, Some(1), &[name.into()])?.next() else {
            return Ok(None);
        };
        let text = |column: &str| -> Result<String, pgrx::spi::Error> {
            Ok(row.get_by_name::<String, _>(column)?.unwrap_or_default())
        };
        let int = |column: &str| -> Result<i32, pgrx::spi::Error> {
            Ok(row.get_by_name::<i32, _>(column)?.unwrap_or_default())
        };
        let micros = |column: &str| -> Result<i64, pgrx::spi::Error> {
            Ok(row.get_by_name::<i64, _>(column)?.unwrap_or_default())
        };
        let duration = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        let mapping = match Mapping::parse(&text("mapping")?) {
            Ok(mapping) => mapping,
            Err(error) => return Ok(Some(Err(Failure::from(error)))),
        };
        let rate = row.get_by_name::<i64, _>("max_bytes_per_second")?;
        Ok(Some(Ok(Pipeline {
            name: name.to_owned(),
            server: text("server")?,
            source_table: text("source_table")?,
            timestamp_column: text("timestamp_column")?,
            actor_column: text("actor_column")?,
            statement_column: text("statement_column")?,
            target_table: text("target_table")?,
            mapping,
            slice_width: Width {
                months: u32::try_from(int("width_months")?).unwrap_or(0),
                days: u64::try_from(int("width_days")?).unwrap_or(0),
                micros: micros("width_micros")?,
            },
            on_bad_value: OnBadValue::parse(&text("on_bad_value")?).unwrap_or(OnBadValue::Reject),
            settle: duration(micros("settle_micros")?),
            retries: u32::try_from(int("retries")?).unwrap_or(0),
            retry_delay: duration(micros("retry_delay_micros")?),
            max_bytes_per_second: rate.and_then(|r| u64::try_from(r).ok()),
            pause_while: row.get_by_name::<String, _>("pause_while")?,
        })))
    })
}
