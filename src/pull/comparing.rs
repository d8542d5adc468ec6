//! What a run compares with the source: for `repair` all of it, for a pull the time before its period.

use crate::backend::role::current_role;
use crate::error::Failure;
use crate::ledger::RangeDifference;
use crate::ledger::{Pipeline, last_loaded};
use crate::load::{RowVersions, StagePlace, Target, check_nothing_prepared, check_removable};
use crate::plan::{Covered, Follows, Survey, runs_that_count};
use crate::slice::{Edge, Interval, Slice};
use crate::source::{Rows, Wanted};
use crate::verify::{Compared, ComparedRange, Ids, Level, Sides, statement_column};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// What becomes of rows that the source does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surplus {
    #[default]
    Keep,
    Delete,
}

impl Surplus {
    /// Reads the argument `surplus` of `repair`.
    ///
    /// # Errors
    /// 22023 for another word.
    pub fn parse(word: &str) -> Result<Surplus, Failure> {
        match word {
            "keep" => Ok(Surplus::Keep),
            "delete" => Ok(Surplus::Delete),
            _ => Err(Failure::argument(format!("surplus => '{word}' is not known"))
                .with_detail("It is 'keep' (rows that the source does not have are reported) or 'delete'.")
                .with_hint("select * from lrs_extract.repair('2025-03-01', '2025-04-01', level => 'hash', surplus => 'delete');")),
        }
    }
}

/// How a run compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// Whether statements are read of ranges whose numbers of rows agree.
    pub hashed: bool,
    pub surplus: Surplus,
    /// Nothing is written.
    pub dry_run: bool,
}

impl Method {
    pub fn new(level: Level, surplus: Surplus, dry_run: bool) -> Method {
        Method { hashed: level == Level::Hash, surplus, dry_run }
    }
}

/// What slices are compared by; travels to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparing {
    pub sides: Sides,
    pub method: Method,
}

impl Comparing {
    /// For a run that repairs by `method`.
    ///
    /// # Errors
    /// 0A000 where the target has no times or no statements to be compared; 42501 or 0A000 where rows are to be
    /// deleted that cannot be.
    pub fn new(
        survey: &Survey,
        covered: &Covered,
        method: Method,
        run_id: i64,
    ) -> Result<Comparing, Failure> {
        let (pipeline, target): (&Pipeline, &Target) = (&survey.pipeline, &survey.target);
        if method.surplus == Surplus::Delete {
            check_removable(&target.sql_name, current_role(), "surplus rows")?;
            if let Some(follows) = &covered.follows {
                check_has_all(pipeline, follows)?;
            }
            check_nothing_else(covered)?;
        }
        check_nothing_prepared(target)?;
        let statement = statement_column(pipeline, target).map_err(|failure| {
            Failure { hint: None, ..failure }
                .with_detail("A repair knows rows by their time and their statement.")
                .with_hint("Add a column to the target and to lrs_extract.pipeline.mapping: \"column\": {\"statement\": true}. verify() with the level 'count' needs none.")
        })?;
        // What this run rejects counts, too.
        let mut runs = runs_that_count(pipeline, target)?;
        runs.push(run_id);
        let compared = Compared {
            pipeline,
            target,
            table: &survey.table,
            encoding: &covered.encoding,
            digest: covered.digest,
            source_has_index: covered.source_has_index,
            runs: &runs,
        };
        Ok(Comparing { sides: Sides::of(&compared, Some(&statement), Ids::Short)?, method })
    }
}

/// Checks that a source that follows another server has all that earlier runs had from there: what it lacks would
/// be deleted.
fn check_has_all(pipeline: &Pipeline, follows: &Follows) -> Result<(), Failure> {
    let Some(loaded) = last_loaded(&pipeline.id)? else { return Ok(()) };
    // The stage's clock and the other server's need not agree.
    let settle = TimeDelta::from_std(pipeline.settle).unwrap_or(TimeDelta::MAX);
    let safe = loaded.checked_add_signed(settle);
    if safe.zip(follows.seen).is_some_and(|(safe, seen)| seen >= safe) {
        return Ok(());
    }
    Err(Failure::new("55000", "the source may lack rows that earlier runs had from another server")
        .with_detail(format!(
            "The source is {}; the last rows of pipeline \"{}\" were loaded at {loaded}.",
            follows.words, pipeline.name
        ))
        .with_hint("Rows that it lacks would be deleted from the target. Wait until it has caught up, or name the primary in the server's options. surplus => 'keep' deletes nothing."))
}

/// Checks that what the target has of the period came from this source by this pipeline: all else would be deleted.
fn check_nothing_else(covered: &Covered) -> Result<(), Failure> {
    if let Some(moved) = &covered.moved {
        return Err(Failure::new("55000", "surplus rows cannot be told: the source is another database than before")
            .with_detail(format!("{moved}."))
            .with_hint("Rows that it lacks would be deleted from the target. Name the database that was pulled in the server's options. surplus => 'keep' deletes nothing."));
    }
    if covered.others.is_empty() {
        return Ok(());
    }
    Err(Failure::new("55000", "surplus rows cannot be told: other pipelines have filled the target, too")
        .with_detail(format!("Of the period: {}.", covered.others.join(", ")))
        .with_hint("Their rows would be deleted. Give each pipeline a target of its own, such as a partition. surplus => 'keep' deletes nothing."))
}

/// The slices of a comparison; they are numbered where they are put together with others.
pub fn compared_slices(covered: Covered, method: Method) -> Vec<Slice> {
    let walk = match method.hashed {
        true => "compared by statements",
        false => "compared by counts",
    };
    let slice = |slice: crate::plan::CoveredSlice| Slice {
        slice_no: 0,
        partition: slice.partition,
        interval: Interval::new(Edge::Before(slice.range.from), Edge::Before(slice.range.to)),
        blocks: None,
        in_windows: false,
        compared: true,
        estimated_rows: slice.estimated_rows,
        warning: None,
        walk: Some(walk.to_owned()),
    };
    covered.slices.into_iter().map(slice).collect()
}

/// A range that is repaired, in one transaction.
pub struct RangeRepair {
    difference: RangeDifference,
    /// What is read from the source.
    pub wanted: Wanted,
    surplus: Vec<StagePlace>,
    /// By which the range's rows are asked for.
    rows: Rows,
    /// How many rows the transaction that is open has deleted.
    pub deleted: Option<i64>,
}

impl RangeRepair {
    pub fn new(compared: &ComparedRange, comparing: &Comparing, rows: Rows) -> RangeRepair {
        let difference = &compared.difference;
        let mut wanted: BTreeMap<_, i64> = BTreeMap::new();
        for n in &difference.missing {
            let row = &compared.source[*n];
            *wanted.entry((row.at, row.hash)).or_default() += 1;
        }
        let surplus = match comparing.method.surplus {
            Surplus::Keep => Vec::new(),
            Surplus::Delete => {
                difference.surplus.iter().map(|n| compared.stage[*n].place).collect()
            }
        };
        RangeRepair {
            difference: summary(compared),
            wanted: Wanted {
                hash: comparing.sides.source.hash.clone(),
                rows: wanted.into_iter().map(|((at, hash), count)| (at, hash, count)).collect(),
            },
            surplus,
            rows,
            deleted: None,
        }
    }

    /// What is deleted: rows of the target, and rejects by their numbers.
    pub fn surplus(&self) -> (RowVersions, Vec<i64>) {
        let (mut rows, mut rejects) = (RowVersions::default(), Vec::new());
        for place in &self.surplus {
            match *place {
                StagePlace::Target(Some(version)) => rows.push(version),
                StagePlace::Target(None) => {}
                StagePlace::Reject { reject_id, .. } => rejects.push(reject_id),
            }
        }
        (rows, rejects)
    }

    /// How many rows are wanted.
    pub fn wanted_rows(&self) -> i64 {
        self.difference.missing
    }

    /// Checks that the target, or `reject`, has what was wanted, after all of it was taken.
    ///
    /// # Errors
    /// 0A000 where the target has other statements than it was given: each repair would bring them again.
    pub fn check_kept(&self, sides: &Sides, target: &Target) -> Result<(), Failure> {
        let held = sides.stage_rows(&self.rows, false)?;
        let held: HashSet<_> = held.iter().map(|row| (row.at, row.hash)).collect();
        if self.wanted.rows.iter().all(|(at, hash, _)| held.contains(&(*at, *hash))) {
            return Ok(());
        }
        Err(Failure::new("0A000", format!("{} does not keep statements as they come", target.sql_name))
            .with_detail("A trigger or a rule has changed the statement or the time of a row that was just inserted, so that it cannot be told from a surplus one; the row was taken back.")
            .with_hint("Such a target cannot be repaired: delete the period's rows, forget it and pull it again."))
    }

    /// The record of what was done.
    pub fn outcome(&self) -> RangeDifference {
        RangeDifference { deleted: self.deleted.unwrap_or(0), ..self.difference }
    }
}

/// The record of a range before anything is done.
pub fn summary(compared: &ComparedRange) -> RangeDifference {
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let in_target = |place: StagePlace| matches!(place, StagePlace::Target(_));
    let target_rows = compared.stage.iter().filter(|row| in_target(row.place)).count();
    RangeDifference {
        from: compared.range.from,
        to: compared.range.to,
        source_rows: count(compared.source.len()),
        target_rows: count(target_rows),
        rejected_rows: count(compared.stage.len() - target_rows),
        missing: count(compared.difference.missing.len()),
        surplus: count(compared.difference.surplus.len()),
        changed: count(compared.difference.changed.len()),
        deleted: 0,
    }
}
