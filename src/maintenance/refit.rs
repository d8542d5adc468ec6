//! Rejects taken through the mapping and into the target once more: the same mapping and the same
//! loader as in a pull, the table `reject` in the place of the source.

use crate::backend::latch::{self, POLL_INTERVAL, Waker};
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::ledger::StoredReject;
use crate::load::{Loader, RejectedRow};
use crate::source::{Field, RawChunk, RawRow};
use crate::threads::spawn_quiet;
use crate::transform::{BoundMapping, FinishedRows, Refusal};
use pgrx::Spi;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Takes rejects through a mapping; lives as long as the call.
pub struct Refit {
    transform: Transform,
    extra_columns: Vec<String>,
    /// The source's actor column, which a reject has as part of its key.
    actor_column: String,
}

/// What became of some rejects.
#[derive(Debug, Default)]
pub struct Fitted {
    /// Rows that were inserted, as the server tells.
    pub rows: u64,
    /// Rows that were left out: the target has their unique key already.
    pub skipped: u64,
    /// Rejects that the target took, or has already, by their numbers.
    pub taken: Vec<i64>,
    /// Those that stay, with the reason of today.
    pub kept: Vec<(i64, Refusal)>,
}

impl Refit {
    /// # Errors
    /// [`Failure`] when there is no thread to be had.
    pub fn start(mapping: BoundMapping, actor_column: &str) -> Result<Refit, Failure> {
        Ok(Refit {
            extra_columns: mapping.extra_columns().to_vec(),
            actor_column: actor_column.to_owned(),
            transform: Transform::start(mapping)?,
        })
    }

    /// Inserts what fits of these rejects. Deferred constraints are checked before this returns.
    ///
    /// # Errors
    /// What is not about a row, as [`Loader::flush`] gives it.
    pub fn take(&self, loader: &mut Loader, stored: Vec<StoredReject>) -> Result<Fitted, Failure> {
        let together = Subtransaction::run(|| {
            let fitted = self.take_once(loader, &stored)?;
            Spi::run("set constraints all immediate")?;
            Ok::<_, Failure>(fitted)
        });
        match together {
            Ok(fitted) => return fitted,
            Err(failure) if failure.is_about_a_row() => loader.discard(),
            Err(failure) => return Err(failure),
        }
        // A row breaks a deferred constraint, and nobody says which one.
        self.take_with_immediate_constraints(loader, stored)
    }

    /// Inserts what fits of these rejects, each statement with its constraints checked. A row that
    /// needs another one gets another try after it.
    ///
    /// # Errors
    /// As [`Refit::take`].
    pub fn take_with_immediate_constraints(
        &self,
        loader: &mut Loader,
        mut stored: Vec<StoredReject>,
    ) -> Result<Fitted, Failure> {
        Spi::run("set constraints all immediate")?;
        let mut all = Fitted::default();
        loop {
            let Fitted { rows, skipped, taken, kept } = self.take_once(loader, &stored)?;
            all.rows += rows;
            all.skipped += skipped;
            let hopeless = taken.is_empty();
            all.taken.extend(taken);
            // What its own values keep out stays out.
            let (again, settled): (Vec<_>, Vec<_>) =
                kept.into_iter().partition(|(_, refusal)| refusal.column.is_empty() && !hopeless);
            all.kept.extend(settled);
            if again.is_empty() {
                return Ok(all);
            }
            let again: HashSet<i64> = again.into_iter().map(|(number, _)| number).collect();
            stored.retain(|reject| again.contains(&reject.reject_id));
        }
    }

    /// Inserts what fits of these rejects, by the checks that are in force.
    fn take_once(&self, loader: &mut Loader, stored: &[StoredReject]) -> Result<Fitted, Failure> {
        let mut chunk = RejectChunk::of(stored, &self.extra_columns, &self.actor_column);
        let mut fitted = Fitted::default();
        if !chunk.numbers.is_empty() {
            let raw = std::mem::take(&mut chunk.rows);
            loader.push(self.transform.apply(raw)?);
            let loaded = loader.flush()?;
            fitted.rows = loaded.rows;
            fitted.skipped = loaded.skipped;
            fitted.taken = chunk.settle(loaded.rejects);
        }
        fitted.kept = chunk.kept;
        Ok(fitted)
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
    fn of(stored: &[StoredReject], extra_columns: &[String], actor_column: &str) -> RejectChunk {
        let mut chunk = RejectChunk::default();
        for reject in stored {
            if let Err(refusal) = chunk.add(reject, extra_columns, actor_column) {
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
    if reject.statement.is_none() {
        // The source has not sent the row at all; what it said then stands.
        return Refusal {
            column: reject.column.clone(),
            sqlstate: reject.sqlstate.clone(),
            message: reject.message.clone(),
        };
    }
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
