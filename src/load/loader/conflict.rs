//! Rows whose unique key the target has already: told apart by ON CONFLICT, which needs no statement and
//! no transaction id a row.

use super::{Loaded, Loader, OnConflict, RowRef, followed_by};
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::transform::FinishedRows;
use std::ffi::CStr;
use std::time::Instant;

/// Whether a target says that it takes no ON CONFLICT: a view, a rule, a deferrable constraint, a row that
/// the caller's snapshot does not see; or a distributed table, which has no SQLSTATE of its own for it.
fn takes_none(failure: &Failure) -> bool {
    const CANNOT: [&str; 5] = ["0A000", "42809", "42P10", "55000", "40001"];
    CANNOT.contains(&failure.sqlstate.as_str())
        || failure.sqlstate == "XX000" && !failure.is_transient()
}

impl Loader {
    /// Inserts those of the rows at `refs` that meet no conflict, and sets the others aside; all together
    /// were refused with `failure`. False where that is not the way: nothing has been done then.
    pub(super) fn resolve_conflicts(
        &mut self,
        pending: &mut [FinishedRows],
        refs: &[RowRef],
        failure: &Failure,
        loaded: &mut Loaded,
    ) -> Result<bool, Failure> {
        // The statement for a recheck leaves out rows without a conflict too.
        let tells = loaded.rechecked.is_none() || self.on_conflict == OnConflict::Skip;
        if !failure.is_conflict() || !self.takes_on_conflict || !tells || refs.len() < 2 {
            return Ok(false);
        }
        // Citus counts the rows that it has read for those that it has inserted. Where rows are returned, SPI counts
        // these too, and fails.
        let clauses = "on conflict do nothing returning null";
        let sql = followed_by(self.statement(loaded)?, clauses)?;
        let begun = Instant::now();
        let outcome = self.insert_where_free(pending, refs, &sql);
        loaded.insert += begun.elapsed();
        let free = match outcome {
            Ok(free) => free,
            Err(other) if other.is_about_a_row() => return Ok(false),
            Err(cannot) if takes_none(&cannot) => {
                self.takes_on_conflict = false;
                return Ok(false);
            }
            Err(other) => return Err(self.during_insert(other)),
        };
        let all = refs.len() as u64;
        match free {
            Free::Some(rows) => {
                loaded.rows += rows;
                // A row that is rechecked is left out where the target has it.
                loaded.skipped += all.saturating_sub(rows);
            }
            Free::Each(free) => {
                for (&(chunk, n), free) in refs.iter().zip(free) {
                    if free {
                        loaded.rows += 1;
                    } else {
                        self.set_aside(&pending[chunk], n, failure.clone(), loaded)?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Inserts the rows that meet no conflict.
    fn insert_where_free(
        &mut self,
        pending: &[FinishedRows],
        refs: &[RowRef],
        sql: &CStr,
    ) -> Result<Free, Failure> {
        let (builder, skip) = (&mut self.builder, self.on_conflict == OnConflict::Skip);
        let all = refs.len() as u64;
        let rows = Subtransaction::run_if(
            || {
                let mut buffer = builder.start();
                for &(chunk, n) in refs {
                    builder.add(&mut buffer, &pending[chunk], n);
                }
                builder.insert(&buffer, sql)
            },
            |rows| skip || *rows == all,
        )?;
        if skip {
            return Ok(Free::Some(rows));
        }
        if rows == 0 || rows == all {
            return Ok(Free::Each(vec![rows > 0; refs.len()]));
        }
        // Some are: which of them, only a statement a row tells; all in one subtransaction.
        Subtransaction::run(|| {
            let each = refs.iter().map(|&(chunk, n)| {
                let mut buffer = builder.start();
                builder.add(&mut buffer, &pending[chunk], n);
                builder.insert(&buffer, sql) > 0
            });
            Free::Each(each.collect())
        })
    }
}

/// Which rows met no conflict.
enum Free {
    /// So many; the others are to be skipped.
    Some(u64),
    /// Each of them, or not.
    Each(Vec<bool>),
}
