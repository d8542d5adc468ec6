//! The slices of a period compared, one after the other.

use super::expressions::{Hashes, statement_column, timestamp_column};
use super::level::Level;
use super::source_count::SourceCount;
use crate::backend::role::{check_encoding, current_role};
use crate::backend::time::{Period, to_server};
use crate::backend::transaction::catching;
use crate::error::Failure;
use crate::ledger::{self, Pipeline};
use crate::load::{self, Target};
use crate::plan::{LayoutQuery, directions};
use crate::slice::PlannedSlice;
use crate::source::{COUNT_INSTEAD, Checksum, is_about_a_value};
use crate::threads::{ClientWatch, FirstConnection, RetryPolicy, SourceClient};
use chrono::{DateTime, Utc};

/// A slice on both sides.
pub struct Comparison {
    pub partition: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub source_rows: i64,
    pub target_rows: i64,
    pub rejected_rows: i64,
    /// Whether target and rejects together hold what the source holds.
    pub ok: bool,
}

/// A verification under way.
pub struct Verification {
    source: SourceCount,
    target: Target,
    /// The target's column that has the rows' time.
    timestamp: String,
    target_hash: String,
    sent_hash: String,
    pipeline: String,
    level: Level,
    slices: std::vec::IntoIter<PlannedSlice>,
}

impl Verification {
    /// Prepares the verification of `period`.
    ///
    /// # Errors
    /// [`Failure`] for whatever keeps it from starting.
    pub fn start(pipeline: &str, period: Period, level: Level) -> Result<Verification, Failure> {
        check_encoding()?;
        let role = current_role();
        let pipeline = Pipeline::read(pipeline)?;
        let target = load::describe(&pipeline.target_table, role)?;
        let timestamp = timestamp_column(&pipeline, &target)?;
        let statement = match level {
            Level::Count => None,
            Level::Hash => Some(statement_column(&pipeline, &target)?),
        };
        let client = SourceClient::new(directions(&pipeline.server, role), "verify")?;
        let retry = || RetryPolicy::of(&pipeline.source_limits);
        let query = LayoutQuery::new(&pipeline, &[], period, Vec::new());
        let layout = client
            .call_with_retry(retry(), FirstConnection::Once, move |session| query.run(session))?;
        layout.notify();
        let client = client.relying_on(layout.settled.committed_until);
        let hashes = Hashes::of(statement, &layout);
        let table = layout.table.for_walk();
        Ok(Verification {
            source: SourceCount::new(client, retry(), table, hashes.source, &pipeline.name),
            target_hash: hashes.target,
            sent_hash: hashes.sent,
            level,
            target,
            timestamp,
            pipeline: pipeline.name,
            slices: layout.slices.into_iter(),
        })
    }

    /// Compares the next slice; `None` at the end of the period.
    ///
    /// # Errors
    /// [`Failure`] when one side cannot be counted.
    pub fn next_comparison(&mut self) -> Result<Option<Comparison>, Failure> {
        self.slices.next().map(|slice| self.compare(slice)).transpose()
    }

    fn compare(&mut self, slice: PlannedSlice) -> Result<Comparison, Failure> {
        // The stage first: what it refuses needs no work of the source.
        let (target, rejected) = self.count_stage(&slice)?;
        let source = self.source.checksum(slice.from, slice.to).map_err(|failure| {
            failure.with_more_detail(&format!(
                "While counting {} from {} to {}.",
                slice.partition, slice.from, slice.to
            ))
        })?;
        let mut stage = target;
        stage += rejected;
        Ok(Comparison {
            partition: slice.partition,
            from: slice.from,
            to: slice.to,
            source_rows: source.rows,
            target_rows: target.rows,
            rejected_rows: rejected.rows,
            ok: source == stage,
        })
    }

    /// Counts the slice's rows in the target and in `reject`.
    fn count_stage(&self, slice: &PlannedSlice) -> Result<(Checksum, Checksum), Failure> {
        let bound = |t| to_server(t).ok_or_else(|| Failure::internal("a slice without a bound"));
        let period = Period { from: bound(slice.from)?, to: bound(slice.to)? };
        let _watch = ClientWatch::start()?;
        let count = || {
            let target = load::checksum(&self.target, &self.timestamp, &self.target_hash, period)?;
            let rejected = ledger::rejected(&self.pipeline, &self.sent_hash, period)?;
            Ok((target, rejected))
        };
        if self.level == Level::Count {
            return count();
        }
        catching(count).map_err(|failure| {
            // A text column may hold what is no jsonb.
            let odd = is_about_a_value(&failure.sqlstate);
            if odd { failure.with_hint(COUNT_INSTEAD) } else { failure }
        })
    }
}
