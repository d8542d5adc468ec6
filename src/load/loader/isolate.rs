//! Which rows the server refuses: a statement that fails is tried again in parts, down to the row.

use super::{Loaded, Loader, OnConflict, RowRef, followed_by};
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::load::flush_buffer::FlushBuffer;
use crate::transform::FinishedRows;
use std::ffi::CStr;
use std::time::Instant;

/// After so many single rows without one that fits, the next are tried one by one at once: halves
/// would fail too, and each failure can take a transaction id.
const HOPELESS: usize = 8;

impl Loader {
    /// Inserts the rows at `refs`; those that the server refuses are set aside.
    pub(super) fn insert(
        &mut self,
        pending: &mut [FinishedRows],
        refs: &[RowRef],
        loaded: &mut Loaded,
    ) -> Result<(), Failure> {
        let (refs, outcome) = self.attempt(pending, refs, loaded)?;
        let Err(failure) = outcome else { return Ok(()) };
        self.check_fault(failure.clone(), loaded)?;
        if self.resolve_conflicts(pending, &refs, &failure, loaded)? {
            return Ok(());
        }
        self.isolate(pending, refs, failure, loaded)
    }

    /// Finds the rows among `refs` that the server refuses, and inserts the others. All together were
    /// refused with `failure`.
    fn isolate(
        &mut self,
        pending: &mut [FinishedRows],
        refs: Vec<RowRef>,
        failure: Failure,
        loaded: &mut Loaded,
    ) -> Result<(), Failure> {
        let mut failed = (refs, failure);
        // The next one last.
        let mut parts: Vec<Vec<RowRef>> = Vec::new();
        let mut streak = 0;
        loop {
            let (mut refs, failure) = failed;
            if let [(chunk, n)] = refs[..] {
                self.set_aside(&pending[chunk], n, failure, loaded)?;
                streak += 1;
            } else if self.resolve_conflicts(pending, &refs, &failure, loaded)? {
                streak = 0;
            } else {
                let rest = refs.split_off(refs.len() / 2);
                parts.extend([rest, refs]);
            }
            failed = loop {
                let Some(mut part) = parts.pop() else { return Ok(()) };
                if streak >= HOPELESS && part.len() > 1 {
                    parts.push(part.split_off(1));
                }
                match self.attempt(pending, &part, loaded)? {
                    (_, Ok(())) => streak = 0,
                    (refs, Err(failure)) if failure.is_about_a_row() => break (refs, failure),
                    (_, Err(failure)) => return Err(self.during_insert(failure)),
                }
            };
        }
    }

    /// One statement for the rows at `refs`, but for those whose values cannot be made; they are set
    /// aside. Returns the others, and what became of them.
    fn attempt(
        &mut self,
        pending: &mut [FinishedRows],
        refs: &[RowRef],
        loaded: &mut Loaded,
    ) -> Result<(Vec<RowRef>, Result<(), Failure>), Failure> {
        let mut refs = refs.to_vec();
        loop {
            let begun = Instant::now();
            let buffer;
            (buffer, refs) = self.fill(pending, &refs, loaded)?;
            loaded.convert += begun.elapsed();
            if refs.is_empty() {
                return Ok((refs, Ok(())));
            }
            match self.execute(&buffer, loaded, true)? {
                Err(failure) if self.adapts_to(&failure) => {}
                outcome => return Ok((refs, outcome.map(|rows| loaded.rows += rows))),
            }
        }
    }

    /// Whether the same rows are to be inserted in another way after `failure`: after an error without a SQLSTATE
    /// of its own, so that a distributed table hands the rows over through the coordinator, which costs more and
    /// tells what the error was.
    fn adapts_to(&mut self, failure: &Failure) -> bool {
        let tells_more = failure.sqlstate == "XX000" && !failure.is_transient();
        tells_more && !std::mem::replace(&mut self.returning, true)
    }

    /// What becomes of a row that was refused as a whole.
    pub(super) fn set_aside(
        &self,
        rows: &FinishedRows,
        n: usize,
        failure: Failure,
        loaded: &mut Loaded,
    ) -> Result<(), Failure> {
        if self.on_conflict == OnConflict::Skip && failure.is_conflict() {
            loaded.skipped += 1;
            return Ok(());
        }
        self.refuse(rows, n, "", failure, loaded)
    }

    /// Runs the INSERT, and takes it back unless it is to be kept; the inner error is the server's.
    fn execute(
        &mut self,
        buffer: &FlushBuffer,
        loaded: &mut Loaded,
        keep: bool,
    ) -> Result<Result<u64, Failure>, Failure> {
        let sql = match self.returning {
            true => followed_by(self.statement(loaded)?, "returning null")?,
            false => self.statement(loaded)?.to_owned(),
        };
        let builder = &self.builder;
        let extension = &mut self.extension;
        let begun = Instant::now();
        // Of rows that are held against the target, most may be there.
        let blocks = if loaded.rechecked.is_some() { 0 } else { buffer.heap.blocks() };
        let insert = || extension.around(blocks, || builder.insert(buffer, &sql));
        let outcome = Subtransaction::run_if(insert, |_| keep);
        loaded.insert += begun.elapsed();
        Ok(outcome)
    }

    /// Whether rows can be at fault: not where a statement without any fails in the same way, by a
    /// trigger for each statement that is against all of them.
    ///
    /// # Errors
    /// The failure, where they are not.
    fn check_fault(&mut self, failure: Failure, loaded: &mut Loaded) -> Result<(), Failure> {
        if !failure.is_about_a_row() {
            return Err(self.during_insert(failure));
        }
        let nothing = self.builder.start();
        match self.execute(&nothing, loaded, false)? {
            Err(without) if without.sqlstate == failure.sqlstate => {
                Err(self.during_insert(failure))
            }
            Err(without) if !without.is_about_a_row() => Err(self.during_insert(without)),
            _ => Ok(()),
        }
    }

    pub(super) fn during_insert(&self, failure: Failure) -> Failure {
        failure.during(&format!("insert into {}", self.target))
    }

    /// The statement for the rows of a flush.
    pub(super) fn statement(&self, loaded: &Loaded) -> Result<&CStr, Failure> {
        match (&self.sql_missing, &loaded.rechecked) {
            (_, None) => Ok(&self.sql),
            (Some(sql), Some(_)) => Ok(sql),
            (None, Some(_)) => {
                Err(Failure::internal("rows to recheck, and nothing to know them by"))
            }
        }
    }
}
