//! A run, in workers or in the caller's own backend: started, then an iterator over its batches.

#![allow(unsafe_code)]

use super::herald::Herald;
use super::inline::Inline;
use super::leader::Leader;
use super::request::{Arguments, CommitMode, PullRequest};
use crate::backend::transaction::check_writable;
use crate::error::{Failure, notice};
use crate::ledger::{Batch, lock_pipeline};
use crate::plan::survey;
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
        check_writable("pull")?;
        let lock = lock_pipeline(&arguments.pipeline)?;
        // SAFETY: the pool lives in the memory context of the call, and nobody else refers to it
        // yet.
        unsafe { &mut *pool }.keep(lock);
        let page = Some(arguments.batch.rows());
        let herald = Herald::of_this_call(arguments);
        let waiting = || match arguments.commit {
            // Nobody could see such a run while it lasts.
            CommitMode::Caller => {}
            CommitMode::Batch | CommitMode::Slice => herald.call(),
        };
        let planned = survey(
            &arguments.pipeline,
            arguments.period,
            arguments.again,
            page,
            FirstConnection::Retried { waiting: &waiting },
        )
        .and_then(|survey| {
            let nothing = survey.why_nothing();
            Ok((PullRequest::new(arguments, survey, herald.run_id())?, nothing))
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
