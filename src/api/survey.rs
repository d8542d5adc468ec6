//! What `plan` shows and `pull` does: the pipeline, both tables, and the slices between them.

use super::arguments::Period;
use super::connection::connection;
use super::layout::{Layout, Question};
use super::reach::Reach;
use crate::backend::role::{check_encoding, current_role};
use crate::error::Failure;
use crate::ledger::{self, Pipeline};
use crate::load::{self, Target};
use crate::pg_compat;
use crate::run::errand::ask_source;
use crate::run::pacing::Pacing;
use crate::slice::{Edge, Interval, PlannedSlice};
use crate::source::{ConnectSpec, Estimate, Session, SourceError, TableNames, WalkTable, estimate};
use crate::transform::Recipe;
use chrono::{DateTime, Utc};

/// A period of a pipeline, seen from both sides.
pub struct Survey {
    pub pipeline: Pipeline,
    pub connect: ConnectSpec,
    pub target: Target,
    pub recipe: Recipe,
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

/// What the source tells, in one conversation.
struct Answer {
    table: WalkTable,
    reach: Reach,
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
    let Fitted { pipeline, target, recipe } = fit(name)?;
    let connect = connection(&pipeline.server, current_role())?;
    let covered = if again { Vec::new() } else { ledger::covered(name, period.from, period.to)? };
    let question = Question::about(&pipeline, recipe.extra_columns(), period, covered);
    let pacing = Pacing::new(pipeline.care.retries, pipeline.care.retry_delay, 1);
    let answer = ask_source(&connect, pacing, move |session| {
        estimated(question.ask(session)?, session, page)
    })?;
    answer.reach.tell();
    // Whoever reads the slices must find all that was to be seen when they were planned.
    let connect = ConnectSpec { committed_until: answer.reach.committed_until, ..connect };
    Ok(Survey {
        pipeline,
        connect,
        target,
        recipe,
        table: answer.table,
        from: answer.reach.from,
        to: answer.reach.to,
        slices: answer.slices,
    })
}

/// A pipeline whose mapping fits its target.
pub struct Fitted {
    pub pipeline: Pipeline,
    pub target: Target,
    pub recipe: Recipe,
}

/// Reads the pipeline `name` and its target, for an INSERT by the current role.
///
/// # Errors
/// [`Failure`] for a mapping that does not fit the target, or a privilege that is missing.
pub fn fit(name: &str) -> Result<Fitted, Failure> {
    check_encoding()?;
    let pipeline = Pipeline::read(name)?;
    let target = load::describe(&pipeline.target_table, current_role())?;
    let recipe = Recipe::new(
        &pipeline.mapping,
        pipeline.on_bad_value,
        &pipeline.timestamp_column,
        pg_compat::SERVER_MAJOR,
        |column| target.find(column),
    )?;
    target.check_privileges(recipe.columns().map(|c| c.name.as_str()))?;
    Ok(Fitted { pipeline, target, recipe })
}

/// Adds what the source makes of each slice; with `page`, by the plan of a page of so many rows.
fn estimated(
    layout: Layout,
    session: &mut Session,
    page: Option<u64>,
) -> Result<Answer, SourceError> {
    let Layout { table, reach, slices } = layout;
    let walk_table = table.for_walk();
    let correlations = table.correlations(session)?;
    let survey = |planned: PlannedSlice| {
        let whole = Interval::new(Edge::Before(planned.from), Edge::Before(planned.to));
        let estimate = estimate(session, &walk_table, &whole, page)?;
        let warning = warning(&planned, &estimate, &correlations, &table.names);
        Ok(SurveyedSlice { planned, estimate, warning })
    };
    let slices = slices.into_iter().map(survey).collect::<Result<_, SourceError>>()?;
    Ok(Answer { table: walk_table, reach, slices })
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
