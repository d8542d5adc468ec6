//! The slices of a period compared, one after the other.

use super::expressions::{Hashes, statement_column, timestamp_column};
use super::level::Level;
use super::source_count::SourceCount;
use crate::backend::role::{check_encoding, current_role};
use crate::backend::time::{Period, to_server};
use crate::backend::transaction::Subtransaction;
use crate::error::{Failure, warning};
use crate::ledger::{self, Pipeline};
use crate::load::{self, Target};
use crate::plan::{Coverage, LayoutQuery, directions, runs_that_count};
use crate::slice::PlannedSlice;
use crate::source::{COUNT_INSTEAD, Checksum, NO_HASH, is_about_a_value};
use crate::threads::{ClientWatch, FirstConnection, RetryPolicy, SourceClient};
use chrono::{DateTime, TimeDelta, Utc};

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
    pipeline_id: String,
    /// Whose rejects count.
    runs: Vec<i64>,
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
        let query = LayoutQuery::new(&pipeline, &[], period, Coverage::default());
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
            runs: runs_that_count(&pipeline, &target)?,
            target,
            timestamp,
            pipeline_id: pipeline.id,
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
        let (from, to) = (slice.from, slice.to);
        // The stage first: what it refuses needs no work of the source.
        let stage = match self.count_stage((from, to), self.level) {
            Err(failure) if self.is_odd(&failure) => {
                self.tell_of_stage(&slice, &failure)?;
                Err(self.count_stage((from, to), Level::Count)?)
            }
            counted => Ok(counted?),
        };
        let source = match self.source.checksum(from, to) {
            Err(failure) if self.is_odd(&failure) => {
                self.tell_of_source(&slice, &failure)?;
                self.source.rows(from, to).map(|rows| (rows, None))
            }
            counted => counted.map(|sum| (sum.rows, Some(sum))),
        };
        let (source_rows, source) = source.map_err(|failure| {
            failure.with_more_detail(&format!(
                "While counting {} from {from} to {to}.",
                slice.partition
            ))
        })?;
        let ok = stage.as_ref().is_ok_and(|(target, rejected)| {
            let mut stage = *target;
            stage += *rejected;
            source == Some(stage)
        });
        let (Ok((target, rejected)) | Err((target, rejected))) = stage;
        Ok(Comparison {
            partition: slice.partition,
            from,
            to,
            source_rows,
            target_rows: target.rows,
            rejected_rows: rejected.rows,
            ok,
        })
    }

    /// Whether statements are read, and one of them is what `failure` is about.
    fn is_odd(&self, failure: &Failure) -> bool {
        self.level == Level::Hash && is_about_a_value(&failure.sqlstate)
    }

    /// Names the row of the source that cannot be hashed; its slice is not ok, the others are compared.
    fn tell_of_source(&mut self, slice: &PlannedSlice, failure: &Failure) -> Result<(), Failure> {
        let source = &mut self.source;
        let found = narrowed(slice, |(from, to)| source.checksum(from, to).map(|_| ()))?;
        let actors = source.actors_at(found)?;
        let actor = |actor: Option<i64>| actor.map_or("null".to_owned(), |a| a.to_string());
        let actors = actors.into_iter().map(actor).collect::<Vec<_>>().join(", ");
        warn_of(
            slice,
            failure,
            &format!("the source's row with timestamp {found}, actor {actors}"),
        );
        Ok(())
    }

    /// The same of the target or of `reject`.
    fn tell_of_stage(&self, slice: &PlannedSlice, failure: &Failure) -> Result<(), Failure> {
        let found = narrowed(slice, |range| self.count_stage(range, Level::Hash).map(|_| ()))?;
        let place = format!(
            "a row of {} or of lrs_extract.reject with timestamp {found}",
            self.target.sql_name
        );
        warn_of(slice, failure, &place);
        Ok(())
    }

    /// Counts a range's rows in the target and in `reject`.
    fn count_stage(
        &self,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        level: Level,
    ) -> Result<(Checksum, Checksum), Failure> {
        let bound = |t| to_server(t).ok_or_else(|| Failure::internal("a slice without a bound"));
        let period = Period { from: bound(from)?, to: bound(to)? };
        let _watch = ClientWatch::start()?;
        let [of_target, sent] = match level {
            Level::Count => [NO_HASH, NO_HASH],
            Level::Hash => [self.target_hash.as_str(), self.sent_hash.as_str()],
        };
        let count = || {
            let target = load::checksum(&self.target, &self.timestamp, of_target, period)?;
            let rejected = ledger::rejected(&self.pipeline_id, &self.runs, sent, period)?;
            Ok::<_, Failure>((target, rejected))
        };
        match level {
            Level::Count => count(),
            // A text column may hold what is no jsonb.
            Level::Hash => Subtransaction::run(count)?,
        }
    }
}

/// The microsecond of the slice at which `count` fails first because of a value.
fn narrowed(
    slice: &PlannedSlice,
    mut count: impl FnMut((DateTime<Utc>, DateTime<Utc>)) -> Result<(), Failure>,
) -> Result<DateTime<Utc>, Failure> {
    let (mut from, mut to) = (slice.from, slice.to);
    while let Some(half) = (to - from).num_microseconds().map(|wide| wide / 2).filter(|n| *n > 0) {
        let middle = from + TimeDelta::microseconds(half);
        match count((from, middle)) {
            Ok(()) => from = middle,
            Err(failure) if is_about_a_value(&failure.sqlstate) => to = middle,
            Err(failure) => return Err(failure),
        }
    }
    Ok(from)
}

fn warn_of(slice: &PlannedSlice, failure: &Failure, row: &str) {
    let PlannedSlice { partition, from, to, .. } = slice;
    warning(&format!(
        "statements of {partition} from {from} to {to} cannot be compared: {} (SQLSTATE {}), met first at {row}; {COUNT_INSTEAD}",
        failure.message, failure.sqlstate
    ));
}
