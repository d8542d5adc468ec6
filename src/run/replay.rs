//! Rejects taken through the mapping again, step by step: the same recipe and the same loader as in
//! a pull, the table `reject` in the place of the source. A row goes into the target and leaves
//! `reject` in one transaction.

use super::actor::Actor;
use super::chore::{Chore, lead};
use super::crew::Crew;
use super::report::BatchReport;
use super::task::Task;
use super::thread::spawn_quiet;
use crate::backend::latch::{self, Waker};
use crate::error::{Failure, notice};
use crate::ledger::{Reason, RejectQueue, StoredReject, drop_rejects, keep_rejects};
use crate::load::{Loader, RejectedRow, Target};
use crate::source::{Field, RawChunk, RawRow};
use crate::transform::{FinishedRows, Recipe};
use pgrx::datum::TimestampWithTimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

/// Rejects are taken in steps of about this size.
const STEP_BYTES: usize = 4 << 20;
const NAP: Duration = Duration::from_millis(200);
/// The caller hears of what has been done this often.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// A call of `replay`, checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplayRequest {
    pub pipeline: String,
    pub actor: Actor,
    /// The period, in microseconds since 2000-01-01; either side may be infinite, as the server
    /// writes it.
    pub from: i64,
    pub to: i64,
    /// The source's actor column, which a reject has as part of its key.
    pub actor_column: String,
    pub target: Target,
    pub recipe: Recipe,
}

/// What has come of it so far.
struct Tally {
    taken: i64,
    staying: i64,
    told: Instant,
}

/// Has a worker take the rejects of the period through the recipe; returns how many rows went into
/// the target. `crew` is empty, and lives in the memory context of the call.
///
/// # Errors
/// As [`lead`]; what was committed before stays.
pub fn replay(crew: *mut Crew, request: &ReplayRequest) -> Result<i64, Failure> {
    let mut tally = Tally { taken: 0, staying: 0, told: Instant::now() };
    match lead(crew, request, |report| tally.add(report)) {
        Ok(()) => {
            tally.tell_what_stays();
            Ok(tally.taken)
        }
        Err(failure) => Err(tally.explain(failure)),
    }
}

impl Tally {
    fn add(&mut self, report: &BatchReport) {
        self.taken += report.rows;
        self.staying += report.rejected;
        if self.told.elapsed() > TELL_EVERY {
            self.told = Instant::now();
            notice(&format!(
                "{} rejects went into the target so far, {} stay",
                self.taken, self.staying
            ));
        }
    }

    fn tell_what_stays(&self) {
        if self.staying > 0 {
            notice(&format!(
                "{} rejects do not fit yet: lrs_extract.reject has the reason of today",
                self.staying
            ));
        }
    }

    fn explain(&self, failure: Failure) -> Failure {
        let hint = failure.hint.clone().unwrap_or_else(|| {
            format!(
                "{} rejects went into the target before, and that stays. The same call goes on with the rest.",
                self.taken
            )
        });
        failure.with_hint(hint)
    }
}

/// What a worker has in hand from step to step.
pub struct Rest {
    queue: RejectQueue,
    loader: Loader,
    transform: Transform,
}

impl Chore for ReplayRequest {
    const CALL: &'static str = "replay";
    type Rest = Rest;

    fn pipeline(&self) -> &str {
        &self.pipeline
    }

    fn actor(&self) -> &Actor {
        &self.actor
    }

    fn task(&self) -> Task<'_> {
        Task::Replay(Cow::Borrowed(self))
    }

    fn find(&self) -> Result<Rest, Failure> {
        let bound = |micros: i64| {
            TimestampWithTimeZone::try_from(micros)
                .map_err(|_| Failure::internal("a bound that no timestamp has"))
        };
        Ok(Rest {
            queue: RejectQueue::open(&self.pipeline, bound(self.from)?, bound(self.to)?)?,
            loader: Loader::new(&self.target, self.recipe.clone())?,
            transform: Transform::start(self.recipe.clone())?,
        })
    }

    fn step(&self, rest: &mut Rest) -> Result<Option<BatchReport>, Failure> {
        let Some(stored) = rest.queue.next(STEP_BYTES)? else { return Ok(None) };
        let mut piece = Piece::of(stored, self.recipe.extra_columns(), &self.actor_column);
        let mut rows = 0;
        if !piece.numbers.is_empty() {
            let chunk = std::mem::take(&mut piece.chunk);
            rest.loader.push(rest.transform.apply(chunk)?);
            let loaded = rest.loader.flush()?;
            rows = i64::try_from(loaded.rows).unwrap_or(i64::MAX);
            drop_rejects(&piece.settle(loaded.rejects))?;
        }
        keep_rejects(&piece.reasons)?;
        Ok(Some(BatchReport {
            rows,
            rejected: piece.reasons.len() as i64,
            ..BatchReport::default()
        }))
    }
}

/// Some rejects as rows of the source, and those that cannot be made such rows.
#[derive(Default)]
struct Piece {
    chunk: RawChunk,
    /// For each row of the chunk, the reject that it is.
    numbers: Vec<i64>,
    reasons: Vec<Reason>,
}

impl Piece {
    fn of(stored: Vec<StoredReject>, extra_columns: &[String], actor_column: &str) -> Piece {
        let mut piece = Piece::default();
        for reject in stored {
            if let Err(reason) = piece.add(&reject, extra_columns, actor_column) {
                piece.reasons.push(reason);
            }
        }
        piece
    }

    fn add(
        &mut self,
        reject: &StoredReject,
        extra_columns: &[String],
        actor_column: &str,
    ) -> Result<(), Reason> {
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
        self.chunk.rows.push(RawRow {
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
            self.reasons.push(Reason {
                reject_id: self.numbers[row.row],
                column: row.column,
                sqlstate: row.sqlstate,
                message: row.message,
            });
        }
        self.numbers.iter().zip(fits).filter_map(|(number, fits)| fits.then_some(*number)).collect()
    }

    fn append(&mut self, text: Option<&str>) -> Field {
        let text = text?;
        let start = self.chunk.bytes.len();
        self.chunk.bytes.extend_from_slice(text.as_bytes());
        Some(start..self.chunk.bytes.len())
    }
}

fn altered(reject: &StoredReject) -> Reason {
    Reason {
        reject_id: reject.reject_id,
        column: reject.column.clone(),
        sqlstate: "22021".to_owned(),
        message: "the source sent bytes that are no UTF-8; they are kept here as \\xNN, so this is not the row that it sent. Mend it on the source, delete the period's rows, forget it and pull it again.".to_owned(),
    }
}

fn lacking(reject: &StoredReject, column: &str) -> Reason {
    Reason {
        reject_id: reject.reject_id,
        column: reject.column.clone(),
        sqlstate: "55000".to_owned(),
        message: format!(
            "the mapping takes the source's column \"{column}\", which is not kept with this reject. Delete the period's rows, forget it and pull it again."
        ),
    }
}

/// The thread that applies the recipe: a statement may be nested deeper than the stack of a backend
/// allows, and the main thread stays interruptible.
struct Transform {
    input: SyncSender<RawChunk>,
    output: Receiver<Box<FinishedRows>>,
    waker: Waker,
}

impl Transform {
    fn start(recipe: Recipe) -> Result<Transform, Failure> {
        let waker = Waker::new()?;
        let (input, raw) = sync_channel::<RawChunk>(1);
        let (made, output) = sync_channel(1);
        let wake = waker.clone();
        spawn_quiet("lrs replay", move || {
            let mut bench = recipe.workbench();
            for chunk in raw {
                if made.send(Box::new(recipe.apply(chunk, &mut bench))).is_err() {
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
                Err(TryRecvError::Empty) => latch::wait(Some(&self.waker), NAP),
            }
        }
    }
}
