//! Rejects taken through the mapping again, in the caller's transaction: the same recipe and the
//! same loader as in a pull, the table `reject` in the place of the source.

use super::thread::spawn_quiet;
use super::wait::{self, Waker};
use crate::error::{Failure, notice};
use crate::ledger::{Reason, RejectQueue, StoredReject, drop_rejects, keep_rejects};
use crate::load::{Loader, Target};
use crate::source::{Field, RawChunk, RawRow};
use crate::transform::{FinishedRows, Recipe};
use pgrx::check_for_interrupts;
use pgrx::datum::TimestampWithTimeZone;
use serde_json::{Map, Value};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// Rejects are taken in pieces of about this size.
const CHUNK_BYTES: usize = 4 << 20;
const NAP: Duration = Duration::from_millis(200);

/// A call of `replay`, checked.
pub struct ReplayRequest {
    pub pipeline: String,
    pub from: TimestampWithTimeZone,
    pub to: TimestampWithTimeZone,
    /// The source's actor column, which a reject has as part of its key.
    pub actor_column: String,
    pub target: Target,
    pub recipe: Recipe,
}

/// Takes the rejects of the period through the recipe; returns how many rows went into the target.
///
/// # Errors
/// [`Failure`] as the loader or the ledger has it, or a bad value whose policy is 'abort'.
pub fn replay(request: ReplayRequest) -> Result<i64, Failure> {
    let mut loader = Loader::new(&request.target, request.recipe.clone())?;
    let transform = Transform::start(request.recipe.clone())?;
    let mut queue = RejectQueue::open(&request.pipeline, request.from, request.to)?;
    let mut rows = 0;
    let mut staying = 0;
    while let Some(stored) = queue.next(CHUNK_BYTES)? {
        let mut piece = Piece::of(stored, request.recipe.extra_columns(), &request.actor_column);
        if !piece.numbers.is_empty() {
            loader.push(transform.apply(std::mem::take(&mut piece.chunk))?);
            let loaded = loader.flush()?;
            rows += i64::try_from(loaded.rows).unwrap_or(i64::MAX);
            let mut fits = vec![true; piece.numbers.len()];
            for reject in loaded.rejects {
                fits[reject.row] = false;
                piece.reasons.push(Reason {
                    reject_id: piece.numbers[reject.row],
                    column: reject.column,
                    sqlstate: reject.sqlstate,
                    message: reject.message,
                });
            }
            let taken = piece.numbers.iter().zip(fits).filter_map(|(n, fits)| fits.then_some(*n));
            drop_rejects(&taken.collect::<Vec<_>>())?;
        }
        staying += piece.reasons.len();
        keep_rejects(&piece.reasons)?;
        check_for_interrupts!();
        wait::check_client();
    }
    if staying > 0 {
        notice(&format!(
            "{staying} rejects do not fit yet: lrs_extract.reject has the reason of today"
        ));
    }
    Ok(rows)
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
        message: "the source sent bytes that are no UTF-8; they are kept here as \\xNN, so this is not the row that it sent. Mend it on the source, then forget the period and pull it again.".to_owned(),
    }
}

fn lacking(reject: &StoredReject, column: &str) -> Reason {
    Reason {
        reject_id: reject.reject_id,
        column: reject.column.clone(),
        sqlstate: "55000".to_owned(),
        message: format!(
            "the mapping takes the source's column \"{column}\", which is not kept with this reject. Forget the period and pull it again."
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
        })
        .map_err(|e| Failure::new("53000", format!("could not start a thread: {e}")))?;
        Ok(Transform { input, output, waker })
    }

    fn apply(&self, chunk: RawChunk) -> Result<FinishedRows, Failure> {
        let died = || Failure::internal("the thread that makes values died");
        self.input.send(chunk).map_err(|_| died())?;
        loop {
            match self.output.try_recv() {
                Ok(rows) => return Ok(*rows),
                Err(TryRecvError::Disconnected) => return Err(died()),
                Err(TryRecvError::Empty) => wait::wait(Some(&self.waker), NAP),
            }
            wait::check_client();
        }
    }
}
