//! `lrs_extract.pull`: the main job.

#![allow(unsafe_code)]

use super::arguments::{Period, at_least_one, present};
use super::exclusive::{check_writable, lock_pipeline};
use super::survey::{Survey, SurveyedSlice, survey};
use crate::backend::role;
use crate::backend::time::to_server;
use crate::error::{Failure, notice, or_raise};
use crate::run::actor::Actor;
use crate::run::crew::Crew;
use crate::run::inline::Inline;
use crate::run::leader::Leader;
use crate::run::report::BatchReport;
use crate::run::request::{CommitMode, Request, SliceRequest};
use crate::settings;
use crate::slice::{Piece, spread};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use std::sync::Arc;

type Row = (
    i64,
    i32,
    String,
    i64,
    i64,
    i64,
    Option<TimestampWithTimeZone>,
    Option<i64>,
    f64,
    f64,
    f64,
    f64,
    f64,
);

/// The arguments of `pull`, checked.
struct Arguments {
    period: Period,
    batch: i32,
    pipeline: String,
    jobs: i32,
    commit: CommitMode,
    again: bool,
}

/// With fewer slices than this for each worker, one would often wait for the other at the end.
const SLICES_A_WORKER: usize = 2;

/// Pulls `["from", "to")` of a pipeline's source into its target, each row exactly once, and
/// returns a row for each committed batch. What earlier calls pulled is left out, unless `again`.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn pull(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    batch: default!(Option<i32>, "50000"),
    pipeline: default!(Option<String>, "'aidt'"),
    jobs: default!(Option<i32>, "2"),
    commit: default!(Option<String>, "'batch'"),
    again: default!(Option<bool>, "false"),
) -> TableIterator<
    'static,
    (
        name!(run_id, i64),
        name!(batch_no, i32),
        name!(partition, String),
        name!(rows, i64),
        name!(rejected, i64),
        name!(bytes, i64),
        name!(last_timestamp, Option<TimestampWithTimeZone>),
        name!(last_actor_id, Option<i64>),
        name!(source_wait_ms, f64),
        name!(transform_ms, f64),
        name!(insert_ms, f64),
        name!(commit_ms, f64),
        name!(elapsed_ms, f64),
    ),
> {
    let crew = Crew::of_this_call();
    let arguments = or_raise(check(from, to, batch, pipeline, jobs, commit, again));
    let run = or_raise(start(&arguments, crew));
    TableIterator::new(run)
}

fn check(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    batch: Option<i32>,
    pipeline: Option<String>,
    jobs: Option<i32>,
    commit: Option<String>,
    again: Option<bool>,
) -> Result<Arguments, Failure> {
    let commit = present(commit, "commit")?;
    Ok(Arguments {
        period: Period::check(from, to)?,
        batch: at_least_one(batch, "batch", "batch is a number of rows; 50000 is a good one.")?,
        pipeline: present(pipeline, "pipeline")?,
        jobs: at_least_one(
            jobs,
            "jobs",
            "jobs is how many workers share the slices; 2 is a good number.",
        )?
        .min(1_000),
        commit: CommitMode::parse(&commit).ok_or_else(|| {
            Failure::argument(format!("commit => '{commit}' is not known"))
                .with_hint("It is one of 'batch', 'slice', 'caller'.")
        })?,
        again: present(again, "again")?,
    })
}

/// A run, in either place.
enum Run {
    Workers(Leader),
    Caller(Box<Inline>),
    /// Everything is covered.
    Nothing,
}

fn start(arguments: &Arguments, crew: *mut Crew) -> Result<Run, Failure> {
    check_writable("pull")?;
    let claim = lock_pipeline(&arguments.pipeline)?;
    // SAFETY: the crew lives in the memory context of the call, and nobody else refers to it yet.
    unsafe { &mut *crew }.keep(claim);
    let page = u64::try_from(arguments.batch).ok();
    let survey = survey(&arguments.pipeline, arguments.period, arguments.again, page)?;
    let request = Arc::new(request(arguments, survey)?);
    if request.slices.is_empty() {
        notice("nothing to do: the period is covered, or holds no partition");
        return Ok(Run::Nothing);
    }
    match arguments.commit {
        CommitMode::Caller => Ok(Run::Caller(Box::new(Inline::start(request)?))),
        CommitMode::Batch | CommitMode::Slice => Ok(Run::Workers(Leader::start(crew, request)?)),
    }
}

impl Iterator for Run {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let (outcome, request) = match self {
            Run::Nothing => return None,
            Run::Workers(leader) => (leader.next_batch(), leader.request()),
            Run::Caller(inline) => (inline.next_batch(), inline.request()),
        };
        or_raise(outcome).map(|report| row(request, &report))
    }
}

fn row(request: &Request, report: &BatchReport) -> Row {
    (
        request.run_id,
        report.batch_no,
        request.slice(report.slice_no).map(|s| s.partition.clone()).unwrap_or_default(),
        report.rows,
        report.rejected,
        report.bytes,
        report.last_timestamp().and_then(to_server),
        report.last_actor(),
        report.source_wait_ms,
        report.transform_ms,
        report.insert_ms,
        report.commit_ms,
        report.elapsed_ms,
    )
}

/// The slices to pull: what is left of the surveyed ones, cut further where there would be too few
/// for all workers.
fn slices(surveyed: &[SurveyedSlice], arguments: &Arguments) -> Vec<SliceRequest> {
    let left = surveyed.iter().flat_map(|slice| {
        slice.planned.left.iter().map(|interval| Piece {
            partition: slice.planned.partition.clone(),
            interval: *interval,
            estimated_rows: slice.estimate.rows,
        })
    });
    let wanted = match arguments.jobs {
        1 => 1,
        jobs => usize::try_from(jobs).unwrap_or(1) * SLICES_A_WORKER,
    };
    spread(left.collect(), wanted, i64::from(arguments.batch))
        .into_iter()
        .zip(1..)
        .map(|(piece, slice_no)| SliceRequest {
            slice_no,
            warning: warning_of(surveyed, &piece.partition),
            partition: piece.partition,
            interval: piece.interval,
            estimated_rows: piece.estimated_rows,
        })
        .collect()
}

fn warning_of(surveyed: &[SurveyedSlice], partition: &str) -> Option<String> {
    let of_partition = surveyed.iter().filter(|slice| slice.planned.partition == partition);
    of_partition.filter_map(|slice| slice.warning.clone()).next()
}

fn request(arguments: &Arguments, survey: Survey) -> Result<Request, Failure> {
    let run_id =
        role::as_owner(|| Spi::get_one::<i64>("select nextval('lrs_extract.run_id_seq')"))?
            .ok_or_else(|| Failure::internal("no number for the run"))?;
    let slices = slices(&survey.slices, arguments);
    let pipeline = survey.pipeline;
    Ok(Request {
        run_id,
        pipeline: pipeline.name,
        from: survey.from,
        to: survey.to,
        batch: arguments.batch,
        jobs: arguments.jobs,
        commit: arguments.commit,
        again: arguments.again,
        caller: Spi::get_one::<String>("select current_user::text")?.unwrap_or_default(),
        actor: Actor::of_this_session()?,
        connect: survey.connect,
        table: survey.table,
        target: survey.target,
        recipe: survey.recipe,
        slices,
        care: pipeline.care,
        meaning: pipeline.meaning,
        worker_memory: settings::worker_memory(),
        transform_threads: settings::transform_threads(
            usize::try_from(arguments.jobs).unwrap_or(1),
        ),
    })
}
