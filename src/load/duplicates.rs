//! Rows of the target that came twice: found once by their id, then removed by their ctids.

use super::identity::Identity;
use super::removable::check_removable;
use super::row_versions::{Removable, RowVersion, RowVersions, remove_in_parts};
use super::target::Target;
use crate::backend::time::Period;
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
        check_removable(name, role, "duplicates")?;
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
                step.surplus.push(placed(
                    row.get(1)?.zip(row.get(2)?),
                    row.get(3)?.zip(row.get(4)?),
                    row.get(5)?,
                )?);
                step.kept.push(placed(
                    row.get(6)?.zip(row.get(7)?),
                    row.get(8)?.zip(row.get(9)?),
                    row.get(10)?,
                )?);
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
        remove_in_parts(step, |part| {
            let removed = self.remove_all(part)?;
            Spi::run("set constraints all immediate")?;
            Ok(removed)
        })
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
        self.surplus.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Removable for Step {
    fn len(&self) -> usize {
        self.surplus.len()
    }

    fn halves(mut self) -> (Step, Step) {
        let at = self.surplus.len() / 2;
        let second = Step { surplus: self.surplus.split_off(at), kept: self.kept.split_off(at) };
        (self, second)
    }
}

fn placed(
    table_and_file: Option<(pg_sys::Oid, pg_sys::Oid)>,
    place_and_version: Option<(pg_sys::ItemPointerData, pg_sys::TransactionId)>,
    at: Option<TimestampWithTimeZone>,
) -> Result<RowVersion, Failure> {
    match (table_and_file, place_and_version, at) {
        (Some((table, file)), Some((ctid, version)), Some(at)) => {
            Ok(RowVersion { table, file, ctid, version, at })
        }
        _ => Err(Failure::internal("a row of the target without a place")),
    }
}
