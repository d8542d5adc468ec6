//! How each partition of a source's table would be walked, whatever the period.

use super::survey::known_by;
use super::surveyed_slice::SurveyedSlice;
use super::walks::WalkQuery;
use crate::error::Failure;
use crate::ledger::Pipeline;
use crate::load::Target;
use crate::slice::PlannedSlice;
use crate::source::{Session, SourceError, Table, estimates};

/// What is asked of the source for that.
pub struct LeavesQuery {
    walks: WalkQuery,
    page: u64,
}

impl LeavesQuery {
    /// For the pipeline's choice, with the access path of a page of `page` rows.
    ///
    /// # Errors
    /// 0A000 where the pipeline chooses what cannot be done.
    pub fn new(
        pipeline: &Pipeline,
        target: Option<&Target>,
        page: u64,
    ) -> Result<LeavesQuery, Failure> {
        let identity = match target {
            Some(target) => known_by(pipeline, target)?,
            None => Err("the target is not known".to_owned()),
        };
        Ok(LeavesQuery { walks: WalkQuery::new(pipeline, false, &identity, Vec::new())?, page })
    }

    /// A slice for each partition that can hold rows: all of it.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn run(
        &self,
        table: &Table,
        session: &mut Session,
    ) -> Result<Vec<SurveyedSlice>, SourceError> {
        let mut planned: Vec<PlannedSlice> = Vec::new();
        for segment in table.all_segments() {
            // What a default partition takes is in several pieces.
            if planned.iter().all(|slice| slice.partition != segment.partition) {
                let whole = PlannedSlice {
                    partition: segment.partition,
                    from: segment.from,
                    to: segment.to,
                    left: Vec::new(),
                };
                planned.push(PlannedSlice { left: vec![whole.whole()], ..whole });
            }
        }
        let intervals: Vec<_> = planned.iter().map(PlannedSlice::whole).collect();
        let estimates = estimates(session, &table.for_walk(), &intervals, Some(self.page))?;
        let surveyed = |(planned, estimate)| SurveyedSlice {
            planned,
            estimate,
            warning: None,
            way: None,
            is_begun: false,
        };
        let mut slices: Vec<_> = planned.into_iter().zip(estimates).map(surveyed).collect();
        self.walks.run(table, &mut slices, session)?;
        Ok(slices)
    }
}
