//! Whether a walk by key gets anywhere: where the source computes a key anew for each page, the same
//! rows can come behind it again and again.

use super::error::SourceError;
use super::keyset::range_condition;
use super::page_reader::PageReader;
use super::sql::Literals;
use crate::slice::Interval;

/// Rows above what was expected before the source is asked how many there are.
const MARGIN: u64 = 10_000;

/// Counts the rows of a walk.
#[derive(Debug)]
pub(super) struct KeyProgress {
    interval: Interval,
    rows: u64,
    /// Rows at which the source is asked.
    suspicious: u64,
}

impl KeyProgress {
    pub fn new(interval: &Interval, estimated_rows: i64) -> KeyProgress {
        let estimated = u64::try_from(estimated_rows).unwrap_or(0);
        let suspicious = estimated.saturating_mul(3).saturating_add(MARGIN);
        KeyProgress { interval: *interval, rows: 0, suspicious }
    }

    /// Takes in the rows of a page.
    ///
    /// # Errors
    /// 55000 when far more rows came than the source has, or another [`SourceError`] as it reports it.
    pub fn note(&mut self, reader: &mut PageReader<'_>, rows: u64) -> Result<(), SourceError> {
        self.rows += rows;
        if self.rows <= self.suspicious {
            return Ok(());
        }
        let table = &reader.request.table;
        let condition = range_condition(table, &self.interval, &mut Literals);
        // Some may have been deleted since they came. No more are counted than decide.
        let enough = (self.rows - MARGIN) / 2 + 1;
        let sql = format!(
            "select count(*) from (select from {} where {condition} limit {enough}) few",
            table.sql_name
        );
        let action = "count the rows of a slice";
        let failed = |e| SourceError::from_client(action, &e);
        let row = reader.session.one(action, &sql)?;
        let there = row.try_get::<_, i64>(0).map_err(failed)?.unsigned_abs();
        if there < enough {
            return Err(SourceError::permanent(
                "read a slice to its end",
                "55000",
                format!(
                    "{} gave {} rows from {} to {}, where it has {there}",
                    table.sql_name,
                    self.rows,
                    self.interval.from.timestamp(),
                    self.interval.to.timestamp()
                ),
            )
            .with_hint("Its key columns seem to be computed anew for each page. Name a table, or a view whose key columns are columns of a table, and forget what was pulled."));
        }
        self.suspicious = self.rows.saturating_mul(3);
        Ok(())
    }
}
