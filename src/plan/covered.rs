//! What earlier runs have pulled of a period, as a comparison takes it: whole timestamps, slice by slice.

use super::bound_pipeline::BoundPipeline;
use super::connection::directions;
use super::coverage::{Coverage, others_that_filled};
use super::layout::{Layout, LayoutQuery};
use super::survey::Survey;
use crate::backend::role::{current_role, current_role_name};
use crate::backend::time::Period;
use crate::backend::transaction::Subtransaction;
use crate::error::{Failure, notice, warning};
use crate::load::{Target, may_select, stage_digest};
use crate::slice::{Edge, Interval, PlannedSlice, subtract};
use crate::source::{
    ConnectSpec, Digest, KeyIndex, Session, SourceError, TYPICAL_PAGE, TimeRange, estimates,
};
use crate::threads::{FirstConnection, RetryPolicy, SourceClient};
use chrono::{DateTime, TimeDelta, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// The pulled part of a period.
#[derive(Clone, Debug)]
pub struct Covered {
    /// Of the source's database, as PostgreSQL names it.
    pub encoding: String,
    /// What both sides can hash with.
    pub digest: Digest,
    /// Whether an index of the source finds the rows of a stretch of time.
    pub source_has_index: bool,
    pub slices: Vec<CoveredSlice>,
    /// Of a source that follows another server: what was committed there before is to be seen.
    pub follows: Option<Follows>,
    /// Where earlier runs read another database, in words.
    pub moved: Option<String>,
    /// Other pipelines that have filled the target.
    pub others: Vec<String>,
}

/// How far a source that follows another server has come.
#[derive(Clone, Debug)]
pub struct Follows {
    /// Up to when it shows what was committed; `None`: that is not known.
    pub seen: Option<DateTime<Utc>>,
    /// Its clock in words.
    pub words: String,
}

/// A stretch of one partition that is pulled.
#[derive(Clone, Debug)]
pub struct CoveredSlice {
    pub partition: String,
    pub range: TimeRange,
    /// The source's estimate.
    pub estimated_rows: i64,
}

/// Surveys what is pulled of `period`. The survey has nothing to walk. `first` says what becomes of trouble with
/// the first connection; without `told`, the caller hears nothing of what is left out.
///
/// # Errors
/// As [`super::survey()`]; 42501 where the caller may not read the target.
pub fn survey_covered(
    name: &str,
    period: Period,
    first: FirstConnection<'_>,
    told: bool,
) -> Result<(Survey, Covered), Failure> {
    Subtransaction::look(|| look(name, period, first, told))
}

fn look(
    name: &str,
    period: Period,
    first: FirstConnection<'_>,
    told: bool,
) -> Result<(Survey, Covered), Failure> {
    let BoundPipeline { pipeline, target, mapping } = BoundPipeline::read(name)?;
    check_select(&target)?;
    let coverage = Coverage::read(&pipeline, &target, period, false)?.without_unfinished();
    let client = SourceClient::new(directions(&pipeline.server, current_role()), "plan")?;
    let query = LayoutQuery::new(&pipeline, mapping.extra_columns(), period, coverage.clone());
    let retry = RetryPolicy::of(&pipeline.source_limits);
    let stage = stage_digest()?;
    let (layout, mut covered) = client.call_with_retry(retry, first, move |session| {
        let layout = query.run(session)?;
        let covered = covered(&layout, stage, session)?;
        Ok((layout, covered))
    })?;
    covered.moved = coverage.moved(layout.table.identity.as_deref());
    covered.others = others_that_filled(&pipeline, &target, period)?;
    if told {
        layout.settled.notify();
        if let Some(moved) = &covered.moved {
            warning(&format!("{moved}; if its rows are others, select lrs_extract.forget(…)"));
        }
        tell_of_rest(&layout);
    }
    let connect =
        ConnectSpec { committed_until: layout.settled.committed_until, ..client.led_to() };
    let survey = Survey {
        pipeline,
        connect,
        target,
        mapping,
        identity: None,
        table: layout.table.for_walk(),
        source_id: layout.table.identity,
        from: layout.settled.from,
        to: layout.settled.to,
        slices: Vec::new(),
        walks: Vec::new(),
    };
    Ok((survey, covered))
}

fn check_select(target: &Target) -> Result<(), Failure> {
    if may_select(target, current_role())? {
        return Ok(());
    }
    Err(Failure::new("42501", format!("permission denied for table {}", target.sql_name))
        .with_detail("A comparison with the source reads the target.")
        .with_hint(format!(
            "grant select on {} to {};",
            target.sql_name,
            pgrx::spi::quote_identifier(current_role_name()?)
        )))
}

fn covered(layout: &Layout, stage: Digest, session: &mut Session) -> Result<Covered, SourceError> {
    let mut slices = Vec::new();
    for slice in &layout.slices {
        for range in pulled(slice) {
            let partition = slice.partition.clone();
            slices.push(CoveredSlice { partition, range, estimated_rows: 0 });
        }
    }
    let interval =
        |range: TimeRange| Interval::new(Edge::Before(range.from), Edge::Before(range.to));
    let intervals: Vec<_> = slices.iter().map(|slice| interval(slice.range)).collect();
    let table = layout.table.for_walk();
    let estimates = estimates(session, &table, &intervals, Some(TYPICAL_PAGE))?;
    let source_has_index = estimates.iter().all(|one| one.index != KeyIndex::Missing);
    for (slice, estimate) in slices.iter_mut().zip(estimates) {
        slice.estimated_rows = estimate.rows;
    }
    let clock = &layout.table.clock;
    Ok(Covered {
        encoding: layout.table.encoding.clone(),
        digest: Digest::of_both(stage, session)?,
        source_has_index,
        slices,
        moved: None,
        others: Vec::new(),
        follows: (clock.standby || clock.subscriber)
            .then(|| Follows { seen: clock.seen(), words: clock.to_string() }),
    })
}

/// The timestamps of a slice whose rows are all pulled.
fn pulled(slice: &PlannedSlice) -> impl Iterator<Item = TimeRange> {
    let whole_timestamps = |interval: Interval| {
        let from = match interval.from {
            Edge::Before(from) => from,
            Edge::After(from, _) => from.checked_add_signed(TimeDelta::microseconds(1))?,
        };
        let to = interval.to.timestamp();
        (from < to).then_some(TimeRange { from, to })
    };
    subtract(slice.whole(), &slice.left).into_iter().filter_map(whole_timestamps)
}

fn tell_of_rest(layout: &Layout) {
    let left: Vec<_> = layout.slices.iter().filter(|slice| !slice.left.is_empty()).collect();
    if let (Some(first), Some(last)) = (left.first(), left.last()) {
        notice(&format!(
            "{} of {} slices between {} and {} are not pulled, or not to their end, and what is not pulled is left out; see lrs_extract.plan",
            left.len(),
            layout.slices.len(),
            first.from,
            last.to
        ));
    }
}

/// The time before `from` that the pipeline's column `lookback` asks for; `None` where it asks for none.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn lookback(name: &str, from: TimestampWithTimeZone) -> Result<Option<Period>, Failure> {
    let sql = include_str!("../../sql/plan/lookback.sql");
    let read = || {
        Spi::connect(|client| {
            let mut rows = client.select(sql, Some(1), &[name.into(), from.into()])?;
            rows.next().map_or(Ok(None), |row| row.get::<TimestampWithTimeZone>(1))
        })
    };
    let begin =
        Subtransaction::look(|| crate::backend::role::as_owner(read).map_err(Failure::from))?;
    Ok(begin.map(|begin| Period { from: begin, to: from }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn pulled_of(left: &[Interval]) -> Vec<(i64, i64)> {
        let slice =
            PlannedSlice { partition: "p".into(), from: at(0), to: at(10), left: left.to_vec() };
        let micros = |t: DateTime<Utc>| t.timestamp_micros();
        pulled(&slice).map(|range| (micros(range.from), micros(range.to))).collect()
    }

    #[test]
    fn a_timestamp_of_which_rows_are_left_is_not_pulled() {
        let interval = Interval::new;
        assert_eq!(pulled_of(&[]), [(0, 10)]);
        assert_eq!(pulled_of(&[interval(Edge::Before(at(0)), Edge::Before(at(10)))]), []);
        assert_eq!(pulled_of(&[interval(Edge::After(at(4), 3), Edge::Before(at(10)))]), [(0, 4)]);
        assert_eq!(pulled_of(&[interval(Edge::Before(at(0)), Edge::After(at(4), 3))]), [(5, 10)]);
        assert_eq!(
            pulled_of(&[interval(Edge::After(at(4), 3), Edge::After(at(4), 5))]),
            [(0, 4), (5, 10)]
        );
    }
}
