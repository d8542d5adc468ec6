//! A period of a pipeline as the source has it: the table, how far it reaches, and its slices.

use super::coverage::Coverage;
use super::settled_period::SettledPeriod;
use crate::backend::time::{Period, from_server};
use crate::error::warning;
use crate::ledger::Pipeline;
use crate::slice::{Interval, PlannedSlice, Width, lay_out};
use crate::source::{Outside, Session, SourceError, Table, TableNames};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// What the source is asked before anything is counted or read.
#[derive(Clone)]
pub struct LayoutQuery {
    names: TableNames,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    settle: Duration,
    width: Width,
    coverage: Coverage,
}

/// What it answers.
pub struct Layout {
    pub table: Table,
    pub settled: SettledPeriod,
    pub slices: Vec<PlannedSlice>,
    /// What is in none of them.
    pub outside: Option<Outside>,
    /// What earlier runs pulled otherwise than the call does, in words.
    pub remarks: Vec<String>,
}

impl Layout {
    /// Tells the caller what is not as asked for.
    pub fn notify(&self) {
        notify(&self.settled, self.outside.as_ref(), &self.remarks);
    }
}

/// The same of a layout that was taken apart.
pub(super) fn notify(settled: &SettledPeriod, outside: Option<&Outside>, remarks: &[String]) {
    settled.notify();
    remarks.iter().for_each(|remark| warning(remark));
    if let Some(outside) = outside {
        warning(&outside.to_string());
    }
}

impl LayoutQuery {
    /// For `period`, of which `coverage` tells what is pulled; `extra` are further columns that are read.
    pub fn new(
        pipeline: &Pipeline,
        extra: &[String],
        period: Period,
        coverage: Coverage,
    ) -> LayoutQuery {
        LayoutQuery {
            names: pipeline.source_names(extra),
            from: from_server(period.from),
            to: from_server(period.to),
            settle: pipeline.settle,
            width: pipeline.slice_width,
            coverage,
        }
    }

    /// Runs it in a session on the source.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn run(&self, session: &mut Session) -> Result<Layout, SourceError> {
        let table = Table::describe(session, &self.names)?;
        let settled = SettledPeriod::of(self.from, self.to, self.settle, &table, session)?;
        let segments = table.segments(settled.from, settled.to);
        let source = table.identity.as_deref();
        let covered = self.coverage.counting(source);
        let slices = lay_out(settled.from, settled.to, &segments, self.width, &covered);
        let left: Vec<Interval> = slices.iter().flat_map(|slice| slice.left.clone()).collect();
        let remarks = self.coverage.warnings(source, &left);
        let outside = Outside::ask(session, &table)?;
        Ok(Layout { table, settled, slices, outside, remarks })
    }
}
