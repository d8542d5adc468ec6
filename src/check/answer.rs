//! What the source is asked, and what it answers, part by part.

use crate::plan::{LeavesQuery, SurveyedSlice};
use crate::source::{
    Clock, ConnectSpec, Outside, SessionFacts, SourceError, Table, TableFacts, TableNames,
};
use chrono::TimeDelta;

/// What it is asked.
pub struct Asked {
    /// Without further columns.
    pub names: TableNames,
    /// Further columns that the mapping asks for.
    pub extra: Vec<String>,
    /// `None` where the stage keeps them from being asked for.
    pub leaves: Option<LeavesQuery>,
}

/// What it answers, and where the session led.
pub struct Answer {
    pub connect: ConnectSpec,
    pub source: SourceAnswer,
}

/// Each part may fail by itself.
pub struct SourceAnswer {
    pub facts: Result<SessionFacts, SourceError>,
    pub clock: Result<ClockReading, SourceError>,
    pub table: Result<TableAnswer, SourceError>,
}

/// The source's clock beside the stage's.
pub struct ClockReading {
    pub clock: Clock,
    /// How far the source's is ahead.
    pub ahead: TimeDelta,
}

/// What the source has of its table.
pub struct TableAnswer {
    pub table: Table,
    pub facts: Result<TableFacts, SourceError>,
    /// Whether it has the further columns.
    pub extra: Result<(), SourceError>,
    pub outside: Result<Option<Outside>, SourceError>,
    /// A slice a partition; `None` where they were not asked for.
    pub leaves: Option<Result<Vec<SurveyedSlice>, SourceError>>,
}

impl TableAnswer {
    /// What the source refused of what a pull reads.
    pub fn refusals(&self) -> impl Iterator<Item = &SourceError> {
        let leaves = self.leaves.as_ref().and_then(|leaves| leaves.as_ref().err());
        let others = [self.outside.as_ref().err(), leaves, self.facts.as_ref().err()];
        others.into_iter().flatten()
    }
}
