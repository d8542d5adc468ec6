//! A period of a pipeline as the source has it: the table, how far it reaches, and its slices.

use super::arguments::Period;
use super::reach::Reach;
use crate::backend::time::from_server;
use crate::ledger::Pipeline;
use crate::slice::{Interval, PlannedSlice, Width, lay_out};
use crate::source::{Session, SourceError, Table, TableNames};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// What the source is asked before anything is counted or read.
#[derive(Clone)]
pub struct Question {
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
    pub reach: Reach,
    pub slices: Vec<PlannedSlice>,
}

impl Question {
    /// About `period`, of which `covered` is pulled; `extra` are further columns that are read.
    pub fn about(
        pipeline: &Pipeline,
        extra: &[String],
        period: Period,
        covered: Vec<Interval>,
    ) -> Question {
        Question {
            names: pipeline.source_names(extra),
            from: from_server(period.from),
            to: from_server(period.to),
            settle: pipeline.settle,
            width: pipeline.slice_width,
            covered,
        }
    }

    /// Asks it.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn ask(&self, session: &mut Session) -> Result<Layout, SourceError> {
        let table = Table::describe(session, &self.names)?;
        let reach = Reach::of(self.from, self.to, self.settle, &table, session)?;
        let segments = table.segments(reach.from, reach.to);
        let slices = lay_out(reach.from, reach.to, &segments, self.width, &self.covered);
        Ok(Layout { table, reach, slices })
    }
}
