//! Rows of the target that came twice: found once by their id, then removed by their ctids.

#![allow(unsafe_code)]

use super::identity::Identity;
use super::target::Target;
use crate::backend::role;
use crate::backend::time::Period;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

/// Where duplicates are looked for and by what they are known; names as SQL writes them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Duplicates {
    target: String,
    identity: Identity,
}

/// Duplicates to be removed by one statement, each with the row that stays for it.
#[derive(Default)]
pub struct Step {
    surplus: RowVersions,
    kept: RowVersions,
}

/// Row versions of the target.
#[derive(Default)]
struct RowVersions {
    tables: Vec<pg_sys::Oid>,
    /// The file of each one's table: a ctid means nothing in another.
    files: Vec<pg_sys::Oid>,
    ctids: Vec<pg_sys::ItemPointerData>,
    versions: Vec<pg_sys::TransactionId>,
    earliest: Option<TimestampWithTimeZone>,
    latest: Option<TimestampWithTimeZone>,
}

impl Duplicates {
    /// Duplicates of `target` by its statements' ids; the earliest stays.
    ///
    /// # Errors
    /// 42501 when `role` may not delete, 0A000 when rows of the target have no place to be found
    /// again by.
    pub fn of(
        target: &Target,
        identity: Identity,
        role: pg_sys::Oid,
    ) -> Result<Duplicates, Failure> {
        let name = &target.sql_name;
        check_removable(name, role)?;
        Ok(Duplicates { target: name.clone(), identity })
    }

    /// Looks for the duplicates of `period` once; [`Duplicates::next`] then takes them, also in later
    /// transactions of this process.
    ///
    /// # Errors
    /// [`Failure`] when the statement cannot be run.
    pub fn find(&self, period: Period) -> Result<(), Failure> {
        let sql = self.fill(include_str!("../../sql/target/duplicates.sql"));
        Spi::run_with_args(&sql, &[period.from.into(), period.to.into()])?;
        Ok(())
    }

    /// The next duplicates, at most `rows`; none at the end.
    ///
    /// # Errors
    /// [`Failure`] when they cannot be read.
    pub fn next(&self, rows: usize) -> Result<Step, Failure> {
        let mut step = Step::default();
        Spi::connect_mut(|client| {
            let sql = format!("fetch forward {rows} from lrs_extract_duplicates");
            for row in client.update(&sql, None, &[])? {
                step.surplus.push(
                    row.get(1)?.zip(row.get(2)?),
                    row.get(3)?.zip(row.get(4)?),
                    row.get(5)?,
                )?;
                step.kept.push(
                    row.get(6)?.zip(row.get(7)?),
                    row.get(8)?.zip(row.get(9)?),
                    row.get(10)?,
                )?;
            }
            Ok(step)
        })
    }

    /// Removes what is left of `step` as it was found, but for rows that a constraint or a trigger
    /// keeps; deferred constraints are checked too. Returns how many rows went, and what kept a row.
    ///
    /// # Errors
    /// [`Failure`] when the statement cannot be run.
    pub fn remove(&self, step: Step) -> Result<(usize, Option<Failure>), Failure> {
        let (mut removed, mut kept) = (0, None);
        let mut parts = vec![step];
        while let Some(part) = parts.pop() {
            let outcome = Subtransaction::run(|| {
                let removed = self.remove_all(&part)?;
                Spi::run("set constraints all immediate")?;
                Ok::<_, Failure>(removed)
            });
            match outcome {
                Ok(count) => removed += count?,
                Err(failure) if failure.is_about_a_row() => {
                    if part.len() > 1 {
                        let (first, second) = part.halves();
                        parts.extend([second, first]);
                    } else {
                        kept.get_or_insert(failure);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok((removed, kept))
    }

    fn remove_all(&self, step: &Step) -> Result<usize, Failure> {
        let sql = self.fill(include_str!("../../sql/target/remove_duplicates.sql"));
        let arguments: Vec<DatumWithOid<'_>> =
            step.surplus.arguments().into_iter().chain(step.kept.arguments()).collect();
        Spi::connect_mut(|client| {
            client.update(&sql, None, &arguments).map(|removed| removed.len())
        })
        .map_err(Failure::from)
    }

    fn fill(&self, template: &str) -> String {
        self.identity.fill(template, &self.target)
    }
}

impl Step {
    pub fn len(&self) -> usize {
        self.surplus.ctids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn halves(mut self) -> (Step, Step) {
        let at = self.len() / 2;
        let second = Step { surplus: self.surplus.split_off(at), kept: self.kept.split_off(at) };
        (self, second)
    }
}

impl RowVersions {
    fn push(
        &mut self,
        table_and_file: Option<(pg_sys::Oid, pg_sys::Oid)>,
        place_and_version: Option<(pg_sys::ItemPointerData, pg_sys::TransactionId)>,
        at: Option<TimestampWithTimeZone>,
    ) -> Result<(), Failure> {
        let (Some((table, file)), Some((place, version)), Some(at)) =
            (table_and_file, place_and_version, at)
        else {
            return Err(Failure::internal("a row of the target without a place"));
        };
        self.tables.push(table);
        self.files.push(file);
        self.ctids.push(place);
        self.versions.push(version);
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
        self.latest = Some(self.latest.map_or(at, |latest| latest.max(at)));
        Ok(())
    }

    /// Keeps those before `at`, and returns the others; the bounds in time are as good for either.
    fn split_off(&mut self, at: usize) -> RowVersions {
        RowVersions {
            tables: self.tables.split_off(at),
            files: self.files.split_off(at),
            ctids: self.ctids.split_off(at),
            versions: self.versions.split_off(at),
            earliest: self.earliest,
            latest: self.latest,
        }
    }

    /// In the order of the statement's parameters.
    fn arguments(&self) -> [DatumWithOid<'_>; 6] {
        [
            self.tables.as_slice().into(),
            self.files.as_slice().into(),
            self.ctids.as_slice().into(),
            self.versions.as_slice().into(),
            self.earliest.into(),
            self.latest.into(),
        ]
    }
}

fn check_removable(target: &str, role: pg_sys::Oid) -> Result<(), Failure> {
    let sql = include_str!("../../sql/target/removable.sql");
    let (may_delete, without_ctid) = role::as_owner(|| {
        Spi::get_two_with_args::<bool, String>(sql, &[target.into(), role.into()])
    })?;
    if may_delete != Some(true) {
        return Err(Failure::new("42501", format!("permission denied for table {target}"))
            .with_hint(format!("grant select, delete on {target} to …;")));
    }
    // A foreign table may have rows on several tables behind it, or no ctid at all: what is deleted
    // there by its place may be another row.
    if let Some(part) = without_ctid {
        return Err(Failure::new(
            "0A000",
            format!("duplicates cannot be removed from {part}, which is a foreign table or a view"),
        )
        .with_hint("Remove them where the rows are stored; for the other partitions of a target, add a pipeline whose target_table is one of them."));
    }
    Ok(())
}
