//! One slice after the other compared, by numbers, by hashes, or down to the rows that differ.

use super::bisection::bisect;
use super::queries::Queries;
use super::rows::{ComparedRange, compare, portions, rows_of_source};
use super::sides::Sides;
use super::source_sums::{Inquiry, SourceSums, sums_of_both};
use crate::error::Failure;
use crate::load::StagePlace;
use crate::source::{COUNT_INSTEAD, Checksum, TimeRange, WalkTable, actors_at, is_about_a_value};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A slice that is compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifiedSlice {
    pub partition: String,
    pub range: TimeRange,
    /// The source's estimate.
    pub estimated_rows: i64,
}

/// A slice on both sides, or of one that differs a row.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub partition: String,
    pub range: TimeRange,
    pub source_rows: i64,
    pub target_rows: i64,
    pub rejected_rows: i64,
    /// Whether target and rejects together hold what the source holds.
    pub ok: bool,
    pub row: Option<DifferingRow>,
}

/// A statement in which both sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingRow {
    /// 'missing', 'surplus' or 'changed'.
    pub difference: &'static str,
    pub id: Option<String>,
    /// Where the source has the row.
    pub actor: Option<i64>,
}

/// Compares slices in one session on the source.
pub struct SliceComparer<'a> {
    pub inquiry: Queries,
    sums: SourceSums,
    sides: Sides,
    table: WalkTable,
    /// The target's name as SQL writes it.
    target: String,
    hashed: bool,
    warn: Box<dyn Fn(&str) + 'a>,
}

impl<'a> SliceComparer<'a> {
    /// With `hashed`, statements are compared too; `warn` tells of those that cannot be.
    pub fn new(
        inquiry: Queries,
        sides: Sides,
        table: WalkTable,
        target: String,
        hashed: bool,
        warn: Box<dyn Fn(&str) + 'a>,
    ) -> SliceComparer<'a> {
        let sums = SourceSums::new(&sides.source);
        SliceComparer { inquiry, sums, sides, table, target, hashed, warn }
    }

    /// Compares a slice as a whole.
    ///
    /// # Errors
    /// [`Failure`] when one side cannot be counted.
    pub fn compare(&mut self, slice: &VerifiedSlice) -> Result<Comparison, Failure> {
        let (range, hashed) = (slice.range, self.hashed);
        // The stage first: what it refuses needs no work of the source.
        let stage = match self.sum_of_stage(range, hashed) {
            Err(failure) if self.is_odd(&failure) => {
                self.tell_of_stage(slice, &failure)?;
                Err(self.sum_of_stage(range, false)?)
            }
            counted => Ok(counted?),
        };
        let source = match self.sum_of_source(range, hashed) {
            Err(failure) if self.is_odd(&failure) => {
                self.tell_of_source(slice, &failure)?;
                self.sum_of_source(range, false).map(|sum| (sum.rows, None))
            }
            counted => counted.map(|sum| (sum.rows, Some(sum))),
        };
        let (source_rows, source) = source.map_err(|failure| while_counting(failure, slice))?;
        let ok = stage.as_ref().is_ok_and(|(target, rejected)| {
            let mut stage = *target;
            stage += *rejected;
            source == Some(stage)
        });
        let (Ok((target, rejected)) | Err((target, rejected))) = stage;
        Ok(Comparison {
            partition: slice.partition.clone(),
            range,
            source_rows,
            target_rows: target.rows,
            rejected_rows: rejected.rows,
            ok,
            row: None,
        })
    }

    /// The rows of a slice in which both sides differ, `most` of them at most; and whether there are more.
    ///
    /// # Errors
    /// [`Failure`] when one side cannot be asked.
    pub fn differing_rows(
        &mut self,
        slice: &VerifiedSlice,
        most: usize,
    ) -> Result<(Vec<Comparison>, bool), Failure> {
        let mut rows = Vec::new();
        let bisected = bisect(slice.range, slice.estimated_rows, |ranges| {
            sums_of_both(&self.sides, &mut self.sums, &mut self.inquiry, ranges, true)
        });
        let bisected = match bisected {
            Err(failure) if self.is_odd(&failure) => {
                warn_of(&self.warn, slice, &failure, "a statement of it");
                return Ok((rows, false));
            }
            bisected => bisected.map_err(|failure| while_counting(failure, slice))?,
        };
        for portion in portions(&self.sides, &mut self.inquiry, &bisected.differing)? {
            if rows.len() >= most {
                return Ok((rows, true));
            }
            let source = rows_of_source(
                &self.sides.source,
                &self.table,
                &slice.partition,
                &mut self.inquiry,
                &portion.rows,
            )?;
            let stage = self.inquiry.on_stage(|| self.sides.stage_rows(&portion.rows, false))?;
            for range in compare(&portion, source, stage) {
                rows.extend(comparisons(&slice.partition, &range));
            }
        }
        let more = rows.len() > most;
        rows.truncate(most);
        Ok((rows, more))
    }

    /// Whether statements are read, and one of them is what `failure` is about.
    fn is_odd(&self, failure: &Failure) -> bool {
        self.hashed && is_about_a_value(&failure.sqlstate)
    }

    /// Names the row of the source that cannot be hashed; its slice is not ok, the others are compared.
    fn tell_of_source(&mut self, slice: &VerifiedSlice, failure: &Failure) -> Result<(), Failure> {
        let found = narrowed(slice.range, |range| self.sum_of_source(range, true).map(|_| ()))?;
        let table = self.table.clone();
        let actors = self.inquiry.ask(false, move |session| actors_at(session, &table, found))?;
        let actor = |actor: Option<i64>| actor.map_or("null".to_owned(), |a| a.to_string());
        let actors = actors.into_iter().flatten().map(actor).collect::<Vec<_>>().join(", ");
        let place = format!("the source's row with timestamp {found}, actor {actors}");
        warn_of(&self.warn, slice, failure, &place);
        Ok(())
    }

    /// The same of the target or of `reject`.
    fn tell_of_stage(&mut self, slice: &VerifiedSlice, failure: &Failure) -> Result<(), Failure> {
        let found = narrowed(slice.range, |range| self.sum_of_stage(range, true).map(|_| ()))?;
        let place =
            format!("a row of {} or of lrs_extract.reject with timestamp {found}", self.target);
        warn_of(&self.warn, slice, failure, &place);
        Ok(())
    }

    fn sum_of_source(&mut self, range: TimeRange, hashed: bool) -> Result<Checksum, Failure> {
        let sums = self.sums.of(&mut self.inquiry, &[range], hashed)?;
        Ok(sums.into_iter().next().unwrap_or_default())
    }

    /// What a range comes to in the target and in `reject`.
    fn sum_of_stage(
        &mut self,
        range: TimeRange,
        hashed: bool,
    ) -> Result<(Checksum, Checksum), Failure> {
        let sums = self.inquiry.on_stage(|| self.sides.stage_sums(&[range], hashed))?;
        Ok(sums.into_iter().next().unwrap_or_default())
    }
}

/// The differing rows of a range, in the order of their times.
fn comparisons(partition: &str, compared: &ComparedRange) -> Vec<Comparison> {
    let ComparedRange { source, stage, difference, .. } = compared;
    let (mut gone, mut come) = (difference.surplus.clone(), difference.missing.clone());
    let mut rows = Vec::new();
    for (m, n) in &difference.changed {
        rows.push((source[*m].at, "changed", source[*m].id.clone(), source[*m].actor));
        come.retain(|other| other != m);
        gone.retain(|other| other != n);
    }
    let missing = |m: &usize| (source[*m].at, "missing", source[*m].id.clone(), source[*m].actor);
    rows.extend(come.iter().map(missing));
    rows.extend(gone.iter().map(|n| (stage[*n].at, "surplus", stage[*n].id.clone(), None)));
    rows.sort_by_key(|row| row.0);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let comparison = |(at, difference, id, actor): (DateTime<Utc>, _, _, _)| {
        let of_stage = |target: bool| {
            let there = |place| matches!(place, StagePlace::Target(_)) == target;
            count(stage.iter().filter(|row| row.at == at && there(row.place)).count())
        };
        Comparison {
            partition: partition.to_owned(),
            range: TimeRange {
                from: at,
                to: at.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(at),
            },
            source_rows: count(source.iter().filter(|row| row.at == at).count()),
            target_rows: of_stage(true),
            rejected_rows: of_stage(false),
            ok: false,
            row: Some(DifferingRow { difference, id, actor }),
        }
    };
    rows.into_iter().map(comparison).collect()
}

/// The microsecond of the range at which `count` fails first because of a value.
fn narrowed(
    mut range: TimeRange,
    mut count: impl FnMut(TimeRange) -> Result<(), Failure>,
) -> Result<DateTime<Utc>, Failure> {
    while let Some([first, second]) = range.halves() {
        range = match count(first) {
            Ok(()) => second,
            Err(failure) if is_about_a_value(&failure.sqlstate) => first,
            Err(failure) => return Err(failure),
        };
    }
    Ok(range.from)
}

fn while_counting(failure: Failure, slice: &VerifiedSlice) -> Failure {
    let VerifiedSlice { partition, range, .. } = slice;
    failure.with_more_detail(&format!(
        "While counting {partition} from {} to {}.",
        range.from, range.to
    ))
}

fn warn_of(warn: &dyn Fn(&str), slice: &VerifiedSlice, failure: &Failure, row: &str) {
    let VerifiedSlice { partition, range, .. } = slice;
    warn(&format!(
        "statements of {partition} from {} to {} cannot be compared: {} (SQLSTATE {}), met first at {row}; {COUNT_INSTEAD}",
        range.from, range.to, failure.message, failure.sqlstate
    ));
}
