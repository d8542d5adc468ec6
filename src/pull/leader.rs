//! The leader: the caller's backend, which launches workers and returns their batches.

#![allow(unsafe_code)]

use super::progress::Progress;
use super::request::PullRequest;
use crate::backend::client;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::error::{Failure, notice, warning};
use crate::ledger::Batch;
use crate::pg_compat;
use crate::pool::{LOCK_CHECK_AFTER, PoolState, WITHOUT_WORKERS, WorkerPool, no_slot};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The name of the call, by which its workers know what they serve.
pub const CALL: &str = "pull";

/// A run as the leader sees it: an iterator over committed batches.
pub struct Leader {
    pool: *mut WorkerPool,
    request: Arc<PullRequest>,
    queue: VecDeque<Batch>,
    progress: Progress,
    last_sign: Instant,
    finished: bool,
}

impl Leader {
    /// Starts a run that has slices. `pool` is empty, and lives in the memory context of the call.
    ///
    /// # Errors
    /// 53400 when there is no free worker slot.
    pub fn start(pool: *mut WorkerPool, request: Arc<PullRequest>) -> Result<Leader, Failure> {
        let jobs = u16::try_from(request.jobs.min(request.slices.len() as i32)).unwrap_or(1).max(1);
        let progress = Progress::new(&request);
        let leader = Leader {
            pool,
            request: request.clone(),
            queue: VecDeque::new(),
            progress,
            last_sign: Instant::now(),
            finished: false,
        };
        // SAFETY: the pool outlives this call; nobody else has a reference to it.
        let pool = unsafe { &mut *pool };
        pool.prepare(CALL, &*request, jobs)?;
        for number in 1..=jobs {
            if pool.launch(number) {
                continue;
            }
            if number == 1 {
                return Err(no_slot(WITHOUT_WORKERS));
            }
            notice(&format!(
                "only {} of {jobs} workers could start; the run continues with them. Raise max_worker_processes for more.",
                number - 1
            ));
            pool.skip(number, jobs);
            break;
        }
        Ok(leader)
    }

    fn pool(&mut self) -> &mut WorkerPool {
        // SAFETY: the pool was registered in the memory context before this leader, so it is
        // dropped after it; only the leader refers to it.
        unsafe { &mut *self.pool }
    }

    /// Waits for the next committed batch; `None` at the end of the run.
    ///
    /// # Errors
    /// What ended the run before its end. The workers are stopped by then.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, Failure> {
        loop {
            // First the state of the workers, then what they reported before it.
            let state = self.pool().state();
            self.collect();
            if let Some(batch) = self.queue.pop_front() {
                return Ok(Some(batch));
            }
            if self.finished {
                return Ok(None);
            }
            match state {
                PoolState::Done => {
                    self.finished = true;
                    self.pool().stop();
                    continue;
                }
                PoolState::Failed(failure) => return Err(self.fail(failure)),
                PoolState::Died(n) => return Err(self.fail(died(n))),
                PoolState::AtWork => {}
            }
            pg_compat::flush_to_client();
            let begun = Instant::now();
            latch::wait(None, POLL_INTERVAL);
            self.pool().sample_locks(begun.elapsed());
            client::check_client();
            let is_repair = self.request.is_repair;
            if self.last_sign.elapsed() > LOCK_CHECK_AFTER {
                self.last_sign = Instant::now();
                self.pool().check_locks(match is_repair {
                    true => "Commit before calling repair.",
                    false => "Commit before calling pull, or call it with commit => 'caller'.",
                })?;
            }
        }
    }

    fn collect(&mut self) {
        let (batches, warnings) = self.pool().receive();
        for warning in warnings {
            notice(&warning);
        }
        for batch in batches {
            self.last_sign = Instant::now();
            if let Some(text) = self.progress.warning(&batch) {
                warning(&text);
            }
            if let Some(text) = self.progress.add(&batch) {
                notice(&text);
            }
            if !batch.is_empty() || batch.range.is_some() {
                self.queue.push_back(batch);
            }
        }
    }

    /// Stops the others, and sees to it that the run's end is written.
    fn fail(&mut self, failure: Failure) -> Failure {
        let (run_id, is_dry_run) = (self.request.run_id, self.request.is_dry_run());
        let pool = self.pool();
        let died_silently = pool.lost_one();
        pool.stop();
        if is_dry_run {
            return failure;
        }
        if died_silently {
            pool.record_failure(&failure);
        }
        let same_call = match self.request.again {
            true => "The same call without again => true",
            false => "The same call",
        };
        failure.with_default_hint(|| {
            format!("What was committed stays. {same_call} continues from there; see lrs_extract.runs, run {run_id}.")
        })
    }
}

fn died(n: usize) -> Failure {
    Failure::new("57P01", format!("worker {} of the run was terminated", n + 1))
        .with_detail("Its last batch was rolled back; what was committed before stays.")
}
