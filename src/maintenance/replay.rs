//! Rejects taken through the mapping again, step by step: the same mapping and the same loader as in
//! a pull, the table `reject` in the place of the source. A row goes into the target and leaves
//! `reject` in one transaction.

use super::task::{MaintenanceTask, lead};
use crate::backend::latch::{self, POLL_INTERVAL, Waker};
use crate::backend::time::Period;
use crate::error::{Failure, notice};
use crate::ledger::{Batch, RejectQueue, StoredReject, drop_rejects, keep_rejects};
use crate::load::{Loader, RejectedRow, Target};
use crate::plan::BoundPipeline;
use crate::pool::{Caller, WorkerPool};
use crate::source::{Field, RawChunk, RawRow};
use crate::threads::spawn_quiet;
use crate::transform::{BoundMapping, FinishedRows, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

/// Rejects are taken in steps of about this size.
const STEP_BYTES: usize = 4 << 20;
/// How often the caller gets a NOTICE.
const NOTIFY_EVERY: Duration = Duration::from_secs(2);

/// A call of `replay`, checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplayRequest {
    pipeline: String,
    pipeline_id: String,
    caller: Caller,
    period: Period,
    /// The source's actor column, which a reject has as part of its key.
    actor_column: String,
    target: Target,
    mapping: BoundMapping,
}

impl ReplayRequest {
    /// For the rejects of `period`, by the pipeline as it is now.
    ///
    /// # Errors
    /// 42501 where the caller may start no worker.
    pub fn new(bound: BoundPipeline, period: Period) -> Result<ReplayRequest, Failure> {
        bound.target.check_seen_by_workers()?;
        Ok(ReplayRequest {
            caller: Caller::of_this_session()?,
            period,
            actor_column: bound.pipeline.actor_column,
            target: bound.target,
            mapping: bound.mapping,
            pipeline: bound.pipeline.name,
            pipeline_id: bound.pipeline.id,
        })
    }
}

/// What has come of it so far.
struct Progress {
    taken: i64,
    staying: i64,
    notified: Instant,
}

/// Has a worker take the rejects of the period through the mapping; returns how many rows went into
/// the target. `pool` is empty, and lives in the memory context of the call.
///
/// # Errors
/// As [`lead`]; what was committed before stays.
pub fn replay(pool: *mut WorkerPool, request: &ReplayRequest) -> Result<i64, Failure> {
    let mut progress = Progress { taken: 0, staying: 0, notified: Instant::now() };
    match lead(pool, request, |batch| progress.add(batch)) {
        Ok(()) => {
            progress.notify_of_rest();
            Ok(progress.taken)
        }
        Err(failure) => Err(progress.explain(failure)),
    }
}

impl Progress {
    fn add(&mut self, batch: &Batch) {
        self.taken += batch.rows;
        self.staying += batch.rejected;
        if self.notified.elapsed() > NOTIFY_EVERY {
            self.notified = Instant::now();
            notice(&format!(
                "{} rejects went into the target so far, {} stay",
                self.taken, self.staying
            ));
        }
    }

    fn notify_of_rest(&self) {
        if self.staying > 0 {
            notice(&format!(
                "{} rejects still do not fit; lrs_extract.reject has the current reason",
                self.staying
            ));
        }
    }

    fn explain(&self, failure: Failure) -> Failure {
        failure.with_default_hint(|| {
            format!(
                "{} rejects went into the target before, and that stays. The same call continues with the rest.",
                self.taken
            )
        })
    }
}

/// What a worker has in hand from step to step.
pub struct ReplayState {
    queue: RejectQueue,
    loader: Loader,
    transform: Transform,
}

impl MaintenanceTask for ReplayRequest {
    const CALL: &'static str = "replay";
    type State = ReplayState;

    fn pipeline(&self) -> &str {
        &self.pipeline
    }

    fn pipeline_id(&self) -> &str {
        &self.pipeline_id
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn find(&self) -> Result<ReplayState, Failure> {
        Ok(ReplayState {
            queue: RejectQueue::open(&self.pipeline_id, self.period)?,
            loader: Loader::new(&self.target, self.mapping.clone(), None)?,
            transform: Transform::start(self.mapping.clone())?,
        })
    }

    fn step(&self, state: &mut ReplayState) -> Result<Option<Batch>, Failure> {
        let Some(stored) = state.queue.next(STEP_BYTES)? else { return Ok(None) };
        let mut chunk = RejectChunk::of(stored, self.mapping.extra_columns(), &self.actor_column);
        let mut rows = 0;
        if !chunk.numbers.is_empty() {
            let raw = std::mem::take(&mut chunk.rows);
            state.loader.push(state.transform.apply(raw)?);
            let loaded = state.loader.flush()?;
            rows = i64::try_from(loaded.rows).unwrap_or(i64::MAX);
            drop_rejects(&chunk.settle(loaded.rejects))?;
        }
        keep_rejects(&chunk.kept)?;
        Ok(Some(Batch { rows, rejected: chunk.kept.len() as i64, ..Batch::default() }))
    }
}

/// Some rejects as rows of the source, and those that cannot be made such rows.
#[derive(Default)]
struct RejectChunk {
    rows: RawChunk,
    /// For each row of the chunk, the reject that it is.
    numbers: Vec<i64>,
    kept: Vec<(i64, Refusal)>,
}

impl RejectChunk {
    fn of(stored: Vec<StoredReject>, extra_columns: &[String], actor_column: &str) -> RejectChunk {
        let mut chunk = RejectChunk::default();
        for reject in stored {
            if let Err(refusal) = chunk.add(&reject, extra_columns, actor_column) {
                chunk.kept.push((reject.reject_id, refusal));
            }
        }
        chunk
    }

    fn add(
        &mut self,
        reject: &StoredReject,
        extra_columns: &[String],
        actor_column: &str,
    ) -> Result<(), Refusal> {
        if reject.altered {
            return Err(altered(reject));
        }
        let kept: Map<String, Value> = reject
            .extra
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default();
        let mut texts = Vec::with_capacity(extra_columns.len());
        for column in extra_columns {
            texts.push(match kept.get(column) {
                Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
                None if column == actor_column => reject.actor.map(|actor| actor.to_string()),
                None => return Err(lacking(reject, column)),
            });
        }
        let statement = self.append(reject.statement.as_deref());
        let extra = texts.iter().map(|text| self.append(text.as_deref())).collect();
        self.rows.rows.push(RawRow {
            timestamp: reject.timestamp,
            actor: reject.actor,
            statement,
            extra,
        });
        self.numbers.push(reject.reject_id);
        Ok(())
    }

    /// Notes why the target has not taken some of the rows; the numbers of those that it took.
    fn settle(&mut self, refused: Vec<RejectedRow>) -> Vec<i64> {
        let mut fits = vec![true; self.numbers.len()];
        for row in refused {
            fits[row.row] = false;
            self.kept.push((self.numbers[row.row], row.refusal));
        }
        self.numbers.iter().zip(fits).filter_map(|(number, fits)| fits.then_some(*number)).collect()
    }

    fn append(&mut self, text: Option<&str>) -> Field {
        let text = text?;
        let start = self.rows.bytes.len();
        self.rows.bytes.extend_from_slice(text.as_bytes());
        Some(start..self.rows.bytes.len())
    }
}

fn altered(reject: &StoredReject) -> Refusal {
    Refusal {
        column: reject.column.clone(),
        sqlstate: "22021".to_owned(),
        message: "the source sent bytes that are not valid UTF-8; they are stored here as \\xNN, so this is not the original row. Correct it on the source, delete the period's rows, forget it and pull it again.".to_owned(),
    }
}

fn lacking(reject: &StoredReject, column: &str) -> Refusal {
    Refusal {
        column: reject.column.clone(),
        sqlstate: "55000".to_owned(),
        message: format!(
            "the mapping takes the source's column \"{column}\", which is not kept with this reject. Delete the period's rows, forget it and pull it again."
        ),
    }
}

/// The thread that applies the mapping: a statement may be nested deeper than the stack of a backend
/// allows, and the main thread stays interruptible.
struct Transform {
    input: SyncSender<RawChunk>,
    output: Receiver<Box<FinishedRows>>,
    waker: Waker,
}

impl Transform {
    fn start(mapping: BoundMapping) -> Result<Transform, Failure> {
        let waker = Waker::new()?;
        let (input, raw) = sync_channel::<RawChunk>(1);
        let (made, output) = sync_channel(1);
        let wake = waker.clone();
        spawn_quiet("lrs replay", move || {
            let mut state = mapping.state();
            for chunk in raw {
                if made.send(Box::new(mapping.apply(chunk, &mut state))).is_err() {
                    return;
                }
                wake.wake();
            }
        })?;
        Ok(Transform { input, output, waker })
    }

    fn apply(&self, chunk: RawChunk) -> Result<FinishedRows, Failure> {
        let died = || Failure::internal("the thread that makes values died");
        self.input.send(chunk).map_err(|_| died())?;
        loop {
            match self.output.try_recv() {
                Ok(rows) => return Ok(*rows),
                Err(TryRecvError::Disconnected) => return Err(died()),
                Err(TryRecvError::Empty) => latch::wait(Some(&self.waker), POLL_INTERVAL),
            }
        }
    }
}
