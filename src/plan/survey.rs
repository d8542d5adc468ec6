//! What `plan` shows and `pull` does: the pipeline, both tables, and the slices between them.

use super::bound_pipeline::BoundPipeline;
use super::connection::directions;
use super::coverage::{Coverage, sibling_warnings};
use super::identity::identity;
use super::layout::{self, Layout, LayoutQuery};
use super::settled_period::SettledPeriod;
use super::surveyed_slice::SurveyedSlice;
use super::walks::{PlannedWalk, WalkQuery};
use crate::backend::role::current_role;
use crate::backend::time::Period;
use crate::backend::transaction::Subtransaction;
use crate::error::{Failure, warning};
use crate::ledger::Pipeline;
use crate::load::{Identity, Target, may_select};
use crate::settings;
use crate::slice::PlannedSlice;
use crate::source::{ConnectSpec, Outside, Session, SourceError, WalkTable, estimates};
use crate::threads::{FirstConnection, RetryPolicy, SourceClient};
use crate::transform::BoundMapping;
use chrono::{DateTime, Utc};

/// A period of a pipeline, seen from both sides.
pub struct Survey {
    pub pipeline: Pipeline,
    pub connect: ConnectSpec,
    pub target: Target,
    pub mapping: BoundMapping,
    /// By what the target knows rows again, where it does.
    pub identity: Option<Identity>,
    pub table: WalkTable,
    /// The source's table; see [`crate::source::Table::identity`].
    pub source_id: Option<String>,
    /// The period after clipping.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub slices: Vec<SurveyedSlice>,
    /// What is to be walked of them, and which way.
    pub walks: Vec<PlannedWalk>,
}

impl Survey {
    /// Why there is nothing to walk, where there is not.
    pub fn why_nothing(&self) -> String {
        if self.from >= self.to {
            "nothing of the period has settled".to_owned()
        } else if self.slices.is_empty() {
            format!("no partition of {} holds rows of the period", self.table.sql_name)
        } else {
            "the period is covered".to_owned()
        }
    }
}

/// What the source answers, in one session.
struct Answer {
    table: WalkTable,
    settled: SettledPeriod,
    outside: Option<Outside>,
    remarks: Vec<String>,
    source_id: Option<String>,
    slices: Vec<SurveyedSlice>,
    walks: Vec<PlannedWalk>,
}

/// Surveys `period` of the pipeline `name` for the current role; with `again`, as if nothing had
/// been pulled; with `page`, with the access path of a page of so many rows. `first` says what becomes of
/// trouble with the first connection.
///
/// # Errors
/// [`Failure`] for whatever would keep a pull from starting: no pipeline, server, mapping or
/// privilege, a mapping that does not fit the target, a source that does not answer.
pub fn survey(
    name: &str,
    period: Period,
    again: bool,
    page: Option<u64>,
    first: FirstConnection<'_>,
) -> Result<Survey, Failure> {
    // A call may go on for hours, and DDL on the ledger or the pipeline need not wait for it.
    Subtransaction::look(|| look(name, period, again, page, first))
}

fn look(
    name: &str,
    period: Period,
    again: bool,
    page: Option<u64>,
    first: FirstConnection<'_>,
) -> Result<Survey, Failure> {
    settings::warn_of_unknown();
    let BoundPipeline { pipeline, target, mapping } = BoundPipeline::read(name)?;
    let coverage = Coverage::read(&pipeline, &target, period, again)?;
    let client = SourceClient::new(directions(&pipeline.server, current_role()), "plan")?;
    let identity = known_by(&pipeline, &target)?;
    let walks = WalkQuery::new(&pipeline, again, &identity, coverage.unfinished().to_vec())?;
    let query = LayoutQuery::new(&pipeline, mapping.extra_columns(), period, coverage);
    let retry = RetryPolicy::of(&pipeline.source_limits);
    let answer = client.call_with_retry(retry, first, move |session| {
        estimated(query.run(session)?, &walks, session, page)
    })?;
    layout::notify(&answer.settled, answer.outside.as_ref(), &answer.remarks);
    if !answer.walks.is_empty() {
        for remark in sibling_warnings(&pipeline, &target, period)? {
            warning(&remark);
        }
    }
    // A session that reads the slices must see all that was visible when they were planned.
    let connect =
        ConnectSpec { committed_until: answer.settled.committed_until, ..client.led_to() };
    Ok(Survey {
        pipeline,
        connect,
        target,
        mapping,
        identity: identity.ok(),
        table: answer.table,
        source_id: answer.source_id,
        from: answer.settled.from,
        to: answer.settled.to,
        slices: answer.slices,
        walks: answer.walks,
    })
}

/// By what the target knows rows again; or in words why it cannot.
pub(super) fn known_by(
    pipeline: &Pipeline,
    target: &Target,
) -> Result<Result<Identity, String>, Failure> {
    if !may_select(target, current_role())? {
        return Ok(Err(format!("the caller may not select from {}", target.sql_name)));
    }
    Ok(identity(pipeline, target).map_err(|failure| failure.message))
}

/// Adds the source's estimate of each slice, by `page` with the plan of a page of so many rows, and
/// which way it is walked.
fn estimated(
    layout: Layout,
    walks: &WalkQuery,
    session: &mut Session,
    page: Option<u64>,
) -> Result<Answer, SourceError> {
    let Layout { table, settled, slices, outside, remarks } = layout;
    let walk_table = table.for_walk();
    let intervals: Vec<_> = slices.iter().map(PlannedSlice::whole).collect();
    let estimates = estimates(session, &walk_table, &intervals, page)?;
    let surveyed = |((planned, whole), estimate)| {
        let is_begun = walks.has_begun(&whole);
        SurveyedSlice { planned, estimate, warning: None, way: None, is_begun }
    };
    let mut slices: Vec<_> =
        slices.into_iter().zip(intervals).zip(estimates).map(surveyed).collect();
    let walks = walks.run(&table, &mut slices, session)?;
    let source_id = table.identity;
    Ok(Answer { table: walk_table, settled, outside, remarks, source_id, slices, walks })
}
