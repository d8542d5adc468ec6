//! A period of a pipeline as the source has it: the table, how far it reaches, and its slices.

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
    covered: Vec<Interval>,
}

/// What it answers.
pub struct Layout {
    pub table: Table,
    pub settled: SettledPeriod,
    pub slices: Vec<PlannedSlice>,
    /// What is in none of them.
    pub outside: Option<Outside>,
}

impl Layout {
    /// Tells the caller what is not as asked for.
    pub fn notify(&self) {
        notify(&self.settled, self.outside.as_ref());
    }
}

/// The same of a layout that was taken apart.
pub(super) fn notify(settled: &SettledPeriod, outside: Option<&Outside>) {
    settled.notify();
    if let Some(outside) = outside {
        warning(&outside.to_string());
    }
}

impl LayoutQuery {
    /// For `period`, of which `covered` is pulled; `extra` are further columns that are read.
    pub fn new(
        pipeline: &Pipeline,
        extra: &[String],
        period: Period,
        covered: Vec<Interval>,
    ) -> LayoutQuery {
        LayoutQuery {
            names: pipeline.source_names(extra),
            from: from_server(period.from),
            to: from_server(period.to),
            settle: pipeline.settle,
            width: pipeline.slice_width,
            covered,
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
        let slices = lay_out(settled.from, settled.to, &segments, self.width, &self.covered);
        let outside = Outside::ask(session, &table)?;
        Ok(Layout { table, settled, slices, outside })
    }
}
