//! Slices compared by workers, side by side.

#![allow(unsafe_code)]

use super::comparer::{Comparison, SliceComparer, VerifiedSlice};
use super::queries::{Queries, Within};
use super::sides::Sides;
use crate::backend::client;
use crate::backend::latch::{self, POLL_INTERVAL};
use crate::backend::role::current_role;
use crate::backend::transaction::{catching, check_starts_workers, in_transaction};
use crate::error::{Failure, notice, warning};
use crate::ledger::{Batch, SourceLimits};
use crate::plan::connection;
use crate::pool::{Caller, LOCK_CHECK_AFTER, PoolState, Worker, WorkerPool, no_slot};
use crate::source::WalkTable;
use crate::threads::{RetryPolicy, SourceClient};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Instant;

/// What the workers of a verification are to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyRequest {
    pub caller: Caller,
    pub pipeline: String,
    pub server: String,
    pub source_limits: SourceLimits,
    /// See [`crate::source::ConnectSpec::committed_until`].
    pub committed_until: Option<DateTime<Utc>>,
    pub sides: Sides,
    pub table: WalkTable,
    pub target: String,
    pub hashed: bool,
    pub slices: Vec<VerifiedSlice>,
}

impl VerifyRequest {
    /// The name of the call, by which its workers know what they serve.
    pub const CALL: &'static str = "verify";
}

/// A worker's whole work: slices claimed by number, each reported as a batch whose rows are those counted, and
/// which is done where both sides agree.
///
/// # Errors
/// What ended it before its end.
pub fn work(worker: &Worker<'_>, request: &VerifyRequest) -> Result<(), Failure> {
    request.caller.connect_worker()?;
    catching(|| {
        let server = request.server.clone();
        let directions = Box::new(move || in_transaction(|| connection(&server, current_role())));
        let client = SourceClient::new(directions, "verify")?.relying_on(request.committed_until);
        let retry = RetryPolicy::of(&request.source_limits);
        let mut comparer = SliceComparer::new(
            Queries::new(client, retry, &request.pipeline, Within::Worker),
            request.sides.clone(),
            request.table.clone(),
            request.target.clone(),
            request.hashed,
            Box::new(|text: &str| worker.warn(text)),
        );
        loop {
            worker.check_stop()?;
            let slice_no = worker.control().number_batch();
            let n = usize::try_from(slice_no - 1).unwrap_or(usize::MAX);
            let Some(slice) = request.slices.get(n) else { return Ok(()) };
            worker.announce(&format!(
                "lrs_extract verify of pipeline {}: comparing slice {slice_no} ({})",
                request.pipeline, slice.partition
            ));
            let found = comparer.compare(slice)?;
            worker.report(&Batch {
                slice_no,
                read: found.source_rows,
                rows: found.target_rows,
                rejected: found.rejected_rows,
                slice_done: found.ok,
                ..Batch::default()
            });
        }
    })
}

/// The leader's side of the workers.
pub struct Workers {
    pool: *mut WorkerPool,
    /// What came before its turn, by the slices' numbers.
    found: HashMap<i32, Batch>,
    last_sign: Instant,
}

impl Workers {
    /// Starts them. `pool` is empty, and lives in the memory context of the call.
    ///
    /// # Errors
    /// 53400 when there is no free worker slot.
    pub fn start(
        pool: *mut WorkerPool,
        request: &VerifyRequest,
        jobs: usize,
    ) -> Result<Workers, Failure> {
        check_starts_workers("verify", "Call verify with jobs => 1, or on the primary.")?;
        let mut workers = Workers { pool, found: HashMap::new(), last_sign: Instant::now() };
        let jobs = u16::try_from(jobs).unwrap_or(u16::MAX);
        let pool = workers.pool();
        pool.prepare(VerifyRequest::CALL, request, jobs)?;
        for number in 1..=jobs {
            if pool.launch(number) {
                continue;
            }
            if number == 1 {
                return Err(no_slot(
                    "Raise max_worker_processes and restart, or call verify with jobs => 1, which needs no worker.",
                ));
            }
            notice(&format!(
                "only {} of {jobs} workers could start; the verification continues with them. Raise max_worker_processes for more.",
                number - 1
            ));
            pool.skip(number, jobs);
            break;
        }
        Ok(workers)
    }

    fn pool(&mut self) -> &mut WorkerPool {
        // SAFETY: the pool lives in the memory context of the call, which is deleted after this; only this
        // refers to it.
        unsafe { &mut *self.pool }
    }

    /// Waits for what a worker found of the slice of that number.
    ///
    /// # Errors
    /// What ended a worker before its end; all are stopped by then.
    pub fn comparison(
        &mut self,
        number: usize,
        slice: &VerifiedSlice,
    ) -> Result<Comparison, Failure> {
        let slice_no = i32::try_from(number).unwrap_or(i32::MAX);
        loop {
            // First the state of the workers, then what they reported before it.
            let state = self.pool().state();
            let (batches, warnings) = self.pool().receive();
            warnings.iter().for_each(|text| warning(text));
            if !batches.is_empty() {
                self.last_sign = Instant::now();
            }
            self.found.extend(batches.into_iter().map(|batch| (batch.slice_no, batch)));
            if let Some(found) = self.found.remove(&slice_no) {
                return Ok(Comparison {
                    partition: slice.partition.clone(),
                    range: slice.range,
                    source_rows: found.read,
                    target_rows: found.rows,
                    rejected_rows: found.rejected,
                    ok: found.slice_done,
                    row: None,
                });
            }
            let failure = match state {
                PoolState::AtWork => {
                    latch::wait(None, POLL_INTERVAL);
                    client::check_client();
                    if self.last_sign.elapsed() > LOCK_CHECK_AFTER {
                        self.last_sign = Instant::now();
                        self.pool().check_locks(
                            "Commit before calling verify, or call it with jobs => 1.",
                        )?;
                    }
                    continue;
                }
                PoolState::Failed(failure) => failure,
                PoolState::Died(n) => {
                    Failure::new("57P01", format!("worker {} of verify was terminated", n + 1))
                        .with_hint(
                            "Call verify again, from the first slice on that it has not shown.",
                        )
                }
                PoolState::Done => Failure::internal("the workers left a slice out"),
            };
            self.pool().stop();
            return Err(failure);
        }
    }
}
