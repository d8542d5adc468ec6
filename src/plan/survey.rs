//! What `plan` shows and `pull` does: the pipeline, both tables, and the slices between them.

use super::bound_pipeline::BoundPipeline;
use super::connection::connection;
use super::layout::{Layout, LayoutQuery};
use super::settled_period::SettledPeriod;
use crate::backend::role::current_role;
use crate::backend::time::Period;
use crate::error::Failure;
use crate::ledger::{self, Pipeline};
use crate::load::Target;
use crate::settings;
use crate::slice::{Edge, Interval, PlannedSlice};
use crate::source::{ConnectSpec, Estimate, Session, SourceError, TableNames, WalkTable, estimate};
use crate::threads::{RetryPolicy, SourceClient};
use crate::transform::BoundMapping;
use chrono::{DateTime, Utc};

/// A period of a pipeline, seen from both sides.
pub struct Survey {
    pub pipeline: Pipeline,
    pub connect: ConnectSpec,
    pub target: Target,
    pub mapping: BoundMapping,
    pub table: WalkTable,
    /// The period after clipping.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub slices: Vec<SurveyedSlice>,
}

/// A slice with the source's estimate of it.
#[derive(Clone, Debug)]
pub struct SurveyedSlice {
    pub planned: PlannedSlice,
    pub estimate: Estimate,
    pub warning: Option<String>,
}

/// What the source answers, in one session.
struct Answer {
    table: WalkTable,
    settled: SettledPeriod,
    slices: Vec<SurveyedSlice>,
}

/// Surveys `period` of the pipeline `name` for the current role; with `again`, as if nothing had
/// been pulled; with `page`, with the access path of a page of so many rows.
///
/// # Errors
/// [`Failure`] for whatever would keep a pull from starting: no pipeline, server, mapping or
/// privilege, a mapping that does not fit the target, a source that does not answer.
pub fn survey(
    name: &str,
    period: Period,
    again: bool,
    page: Option<u64>,
) -> Result<Survey, Failure> {
    settings::warn_of_unknown();
    let BoundPipeline { pipeline, target, mapping } = BoundPipeline::read(name)?;
    let connect = connection(&pipeline.server, current_role())?;
    let covered = if again { Vec::new() } else { ledger::covered(name, period)? };
    let query = LayoutQuery::new(&pipeline, mapping.extra_columns(), period, covered);
    let retry = RetryPolicy::of(&pipeline.source_limits);
    let answer = SourceClient::new(&connect, "plan")
        .call_with_retry(retry, move |session| estimated(query.run(session)?, session, page))?;
    answer.settled.notify();
    // A session that reads the slices must see all that was visible when they were planned.
    let connect = ConnectSpec { committed_until: answer.settled.committed_until, ..connect };
    Ok(Survey {
        pipeline,
        connect,
        target,
        mapping,
        table: answer.table,
        from: answer.settled.from,
        to: answer.settled.to,
        slices: answer.slices,
    })
}

/// Adds the source's estimate of each slice; with `page`, by the plan of a page of so many rows.
fn estimated(
    layout: Layout,
    session: &mut Session,
    page: Option<u64>,
) -> Result<Answer, SourceError> {
    let Layout { table, settled, slices } = layout;
    let walk_table = table.for_walk();
    let correlations = table.correlations(session)?;
    let survey = |planned: PlannedSlice| {
        let whole = Interval::new(Edge::Before(planned.from), Edge::Before(planned.to));
        let estimate = estimate(session, &walk_table, &whole, page)?;
        let warning = warning(&planned, &estimate, &correlations, &table.names);
        Ok(SurveyedSlice { planned, estimate, warning })
    };
    let slices = slices.into_iter().map(survey).collect::<Result<_, SourceError>>()?;
    Ok(Answer { table: walk_table, settled, slices })
}

/// Below this, neighbouring keys lie on unrelated pages.
const POOR_CORRELATION: f32 = 0.5;

fn warning(
    planned: &PlannedSlice,
    estimate: &Estimate,
    correlations: &[(String, f32)],
    names: &TableNames,
) -> Option<String> {
    if estimate.no_index {
        return Some(format!(
            "no index serves the walk: each page sorts or reads everything. Create one on the source: create index concurrently on {} (\"{}\", {});",
            planned.partition, names.timestamp, names.actor
        ));
    }
    let (_, correlation) = correlations.iter().find(|(name, _)| *name == planned.partition)?;
    if correlation.abs() < POOR_CORRELATION {
        return Some(format!(
            "heap order and key order disagree (correlation {correlation:.2}): the walk reads at random; expect it to be slow on cold or spinning storage"
        ));
    }
    None
}
