//! Row versions of the target, found in one transaction and removed in a later one.

#![allow(unsafe_code)]

use crate::backend::query::Row;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::prelude::*;

/// Where a row version is.
#[derive(Clone, Copy, Debug)]
pub struct RowVersion {
    pub table: pg_sys::Oid,
    /// The file of its table: a ctid means nothing in another.
    pub file: pg_sys::Oid,
    pub ctid: pg_sys::ItemPointerData,
    pub version: pg_sys::TransactionId,
    pub at: TimestampWithTimeZone,
}

impl RowVersion {
    /// The columns that say where a row of a query is, from a comma on.
    pub const COLUMNS: &'static str = ", tableoid as place_table, \
         pg_catalog.pg_relation_filenode(tableoid) as place_file, ctid as place, xmin as version";

    /// From a row of a query that has them and the time `at`.
    ///
    /// # Safety
    /// `at` must be a timestamptz there.
    pub unsafe fn read(row: &Row) -> Option<RowVersion> {
        // SAFETY: the columns' types are those of COLUMNS; for `at`, the caller's word.
        unsafe {
            Some(RowVersion {
                table: row.get(c"place_table")?,
                file: row.get(c"place_file")?,
                ctid: row.get(c"place")?,
                version: row.get(c"version")?,
                at: row.get(c"at")?,
            })
        }
    }
}

/// Row versions of the target.
#[derive(Debug, Default)]
pub struct RowVersions {
    tables: Vec<pg_sys::Oid>,
    files: Vec<pg_sys::Oid>,
    ctids: Vec<pg_sys::ItemPointerData>,
    versions: Vec<pg_sys::TransactionId>,
    earliest: Option<TimestampWithTimeZone>,
    latest: Option<TimestampWithTimeZone>,
}

impl RowVersions {
    pub fn len(&self) -> usize {
        self.ctids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, row: RowVersion) {
        self.tables.push(row.table);
        self.files.push(row.file);
        self.ctids.push(row.ctid);
        self.versions.push(row.version);
        self.earliest = Some(self.earliest.map_or(row.at, |earliest| earliest.min(row.at)));
        self.latest = Some(self.latest.map_or(row.at, |latest| latest.max(row.at)));
    }

    /// Keeps those before `at`, and returns the others; the bounds in time are as good for either.
    pub fn split_off(&mut self, at: usize) -> RowVersions {
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
    pub fn arguments(&self) -> [DatumWithOid<'_>; 6] {
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

/// What is removed by one statement, and can be divided.
pub trait Removable: Sized {
    fn len(&self) -> usize;
    fn halves(self) -> (Self, Self);
}

impl Removable for RowVersions {
    fn len(&self) -> usize {
        RowVersions::len(self)
    }

    fn halves(mut self) -> (Self, Self) {
        let second = self.split_off(self.len() / 2);
        (self, second)
    }
}

/// Removes `all` by `remove`, but for rows that a constraint or a trigger keeps; returns how many went, and
/// what kept a row.
///
/// # Errors
/// [`Failure`] when the statement cannot be run.
pub fn remove_in_parts<R: Removable>(
    all: R,
    remove: impl Fn(&R) -> Result<usize, Failure>,
) -> Result<(usize, Option<Failure>), Failure> {
    let (mut removed, mut kept) = (0, None);
    let mut parts = vec![all];
    while let Some(part) = parts.pop() {
        match Subtransaction::run(|| remove(&part)) {
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
