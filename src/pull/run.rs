//! A run, in workers or in the caller's own backend: started, then an iterator over its batches.

#![allow(unsafe_code)]

use super::herald::Herald;
use super::inline::Inline;
use super::leader::Leader;
use super::request::{Arguments, CommitMode, PullRequest, kind};
use crate::backend::transaction::{check_starts_workers, check_writable};
use crate::error::{Failure, notice};
use crate::ledger::{Batch, lock_pipeline};
use crate::plan::{Covered, Survey, lookback, survey, survey_covered};
use crate::pool::WorkerPool;
use crate::threads::FirstConnection;
use std::sync::Arc;

/// A run under way.
pub struct Run {
    request: Arc<PullRequest>,
    execution: Execution,
}

enum Execution {
    Workers(Leader),
    Caller(Box<Inline>),
    /// Everything is covered.
    Nothing,
}

impl Run {
    /// Surveys the period and starts to pull what is left of it. `pool` is empty, and lives in the
    /// memory context of the call.
    ///
    /// # Errors
    /// [`Failure`] for whatever keeps a pull from starting.
    pub fn start(arguments: &Arguments, pool: *mut WorkerPool) -> Result<Run, Failure> {
        let is_dry_run = arguments.repair.is_some_and(|method| method.dry_run);
        if is_dry_run {
            check_starts_workers("repair", "Call repair on the primary.")?;
        } else {
            check_writable(kind(arguments.repair.is_some()))?;
        }
        let lock = lock_pipeline(&arguments.pipeline)?;
        // SAFETY: the pool lives in the memory context of the call, and nobody else refers to it
        // yet.
        unsafe { &mut *pool }.keep(lock);
        let page = Some(arguments.batch.rows());
        let herald = Herald::of_this_call(arguments);
        let waiting = || match arguments.commit {
            // Nobody could see such a run while it lasts.
            CommitMode::Caller => {}
            CommitMode::Batch | CommitMode::Slice if is_dry_run => {}
            CommitMode::Batch | CommitMode::Slice => herald.call(),
        };
        let first = FirstConnection::Retried { waiting: &waiting };
        let planned = match arguments.repair {
            None => to_pull(arguments, page, first),
            Some(_) => to_repair(arguments, first),
        }
        .and_then(|(survey, covered)| {
            let nothing = match arguments.repair {
                None => survey.why_nothing(),
                Some(_) => "nothing of the period is pulled".to_owned(),
            };
            Ok((PullRequest::new(arguments, survey, covered, herald.run_id())?, nothing))
        });
        let (request, nothing) = planned.inspect_err(|failure| herald.fails(failure))?;
        let request = Arc::new(request);
        if request.slices.is_empty() {
            herald.ends();
            notice(&format!("nothing to do: {nothing}"));
            return Ok(Run { request, execution: Execution::Nothing });
        }
        herald.goes_on();
        let execution = match arguments.commit {
            CommitMode::Caller => Execution::Caller(Box::new(Inline::start(request.clone())?)),
            CommitMode::Batch | CommitMode::Slice => {
                let leader = Leader::start(pool, request.clone());
                Execution::Workers(leader.inspect_err(|failure| herald.fails(failure))?)
            }
        };
        Ok(Run { request, execution })
    }

    pub fn request(&self) -> &PullRequest {
        &self.request
    }

    /// The next committed batch that has rows; `None` at the end of the run.
    ///
    /// # Errors
    /// [`Failure`] that ends the run.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, Failure> {
        match &mut self.execution {
            Execution::Nothing => Ok(None),
            Execution::Workers(leader) => leader.next_batch(),
            Execution::Caller(inline) => inline.next_batch(),
        }
    }
}

/// What a pull has to do: what is left of its period, and what its pipeline looks back on.
fn to_pull(
    arguments: &Arguments,
    page: Option<u64>,
    first: FirstConnection<'_>,
) -> Result<(Survey, Option<Covered>), Failure> {
    let Arguments { pipeline, period, again, .. } = arguments;
    let survey = survey(pipeline, *period, *again, page, first)?;
    let covered = match lookback(pipeline, period.from)? {
        Some(before) => Some(survey_covered(pipeline, before, first, false)?.1),
        None => None,
    };
    Ok((survey, covered))
}

/// What a repair has to do: to compare what is pulled.
fn to_repair(
    arguments: &Arguments,
    first: FirstConnection<'_>,
) -> Result<(Survey, Option<Covered>), Failure> {
    let (survey, covered) = survey_covered(&arguments.pipeline, arguments.period, first, true)?;
    Ok((survey, Some(covered)))
}
