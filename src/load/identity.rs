//! The columns by which the target knows a source row again, and statements that name them.

use super::target::{Target, base_type};
use crate::error::Failure;
use crate::source::fill;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;
use serde::{Deserialize, Serialize};

/// Columns of a target, as SQL writes them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    id: String,
    timestamp: String,
}

impl Identity {
    /// The columns `id` and `timestamp` of `target`.
    ///
    /// # Errors
    /// 0A000 when `timestamp` is no timestamptz.
    pub fn of(target: &Target, id: &str, timestamp: &str) -> Result<Identity, Failure> {
        let name = &target.sql_name;
        let timestamp_type = target.column(timestamp).map(|c| pg_sys::Oid::from(c.type_oid));
        if timestamp_type.map(base_type) != Some(pg_sys::TIMESTAMPTZOID) {
            return Err(Failure::new(
                "0A000",
                format!("column \"{timestamp}\" of {name} is no timestamptz"),
            )
            .with_hint(format!("Its values within a period would depend on the session's TimeZone. alter table {name} alter … type timestamptz;")));
        }
        Ok(Identity { id: quote_identifier(id), timestamp: quote_identifier(timestamp) })
    }

    /// Puts the names into a template.
    pub fn fill(&self, template: &str, target: &str) -> String {
        self.fill_with(template, |name| match name {
            "target" => target,
            other => unreachable!("no name for {{{other}}}"),
        })
    }

    /// The statement that inserts what of the rows in `batch` is missing in `target`, whose `columns`
    /// they have.
    pub fn insert_missing(&self, target: &str, batch: &str, columns: &[String]) -> String {
        let known: Vec<String> = columns
            .iter()
            .map(|column| match column {
                known if *known == self.id || *known == self.timestamp => format!("t.{known}"),
                _ => "null".to_owned(),
            })
            .collect();
        let (columns, known) = (columns.join(", "), known.join(", "));
        let template = include_str!("../../sql/target/insert_missing.sql");
        self.fill_with(template, |name| match name {
            "target" => target,
            "batch" => batch,
            "columns" => &columns,
            "known" => &known,
            other => unreachable!("no name for {{{other}}}"),
        })
    }

    fn fill_with<'a>(&'a self, template: &str, other: impl Fn(&str) -> &'a str) -> String {
        fill(template, |name| match name {
            "id" => self.id.as_str(),
            "timestamp" => self.timestamp.as_str(),
            name => other(name),
        })
    }
}
