//! The table `reject`: rows set aside by a pull, and taken through the mapping
//! again by `replay`, which reads them in pieces and drops or keeps each in the transaction that read
//! it.

use crate::backend::role::as_owner;
use crate::backend::time::Period;
use crate::error::Failure;
use crate::load::RejectedRow;
use crate::transform::Refusal;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use std::collections::VecDeque;

/// Writes rows that were set aside, in the transaction of their batch; returns their numbers.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn record_rejects(
    run_id: i64,
    batch_no: i32,
    pipeline: &str,
    rejects: &[RejectedRow],
) -> Result<Vec<i64>, Failure> {
    if rejects.is_empty() {
        return Ok(Vec::new());
    }
    as_owner(|| {
        let mut numbers = Vec::with_capacity(rejects.len());
        for reject in rejects {
            let number = Spi::get_one_with_args::<i64>(
                include_str!("../../sql/ledger/record_reject.sql"),
                &[
                    run_id.into(),
                    batch_no.into(),
                    pipeline.into(),
                    TimestampWithTimeZone::try_from(reject.timestamp).ok().into(),
                    reject.actor.into(),
                    reject.refusal.column.as_str().into(),
                    reject.refusal.sqlstate.as_str().into(),
                    reject.refusal.message.as_str().into(),
                    reject.statement.as_deref().into(),
                    reject.extra.as_deref().into(),
                    reject.altered.into(),
                ],
            )?;
            numbers.extend(number);
        }
        Ok::<_, pgrx::spi::Error>(numbers)
    })
    .map_err(Failure::from)
}

/// Rejects of one batch that are not the last word on their rows.
#[derive(Debug)]
pub struct SetAside {
    pub batch_no: i32,
    /// Their numbers, in pieces of bounded size.
    pub pieces: Vec<Vec<i64>>,
}

impl SetAside {
    /// Of what was written as `numbers`, the rows that were refused as a whole, not for a value of
    /// theirs; in pieces of about `bytes`.
    pub fn of(batch_no: i32, rejects: &[RejectedRow], numbers: &[i64], bytes: usize) -> SetAside {
        let mut pieces: Vec<Vec<i64>> = Vec::new();
        let mut sum = usize::MAX;
        for (reject, number) in rejects.iter().zip(numbers) {
            if !reject.refusal.column.is_empty() {
                continue;
            }
            let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let size = length(&reject.statement) + length(&reject.extra);
            sum = sum.saturating_add(size);
            match pieces.last_mut() {
                Some(piece) if sum <= bytes => piece.push(*number),
                _ => {
                    pieces.push(vec![*number]);
                    sum = size;
                }
            }
        }
        SetAside { batch_no, pieces }
    }
}

/// Notes that rejects of a batch went into the target before it was committed: `rows` as the server
/// counted them, `skipped` were there already.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn settle_rejects(
    run_id: i64,
    slice_no: i32,
    batch_no: i32,
    taken: &[i64],
    rows: i64,
    skipped: i64,
) -> Result<(), Failure> {
    let sql = include_str!("../../sql/ledger/settle_rejects.sql");
    let arguments = [
        run_id.into(),
        slice_no.into(),
        batch_no.into(),
        taken.into(),
        rows.into(),
        skipped.into(),
    ];
    as_owner(|| Spi::run_with_args(sql, &arguments)).map_err(Failure::from)
}

/// What most of a run's rejected rows were refused for, in a sentence.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn most_frequent_reason(run_id: i64) -> Result<Option<String>, Failure> {
    let sql = include_str!("../../sql/ledger/most_frequent_reason.sql");
    let read = || {
        Spi::connect(|client| {
            let mut rows = client.select(sql, Some(1), &[run_id.into()])?;
            rows.next().map_or(Ok(None), |row| row.get::<String>(1))
        })
    };
    as_owner(read).map_err(Failure::from)
}

/// Rejects by their numbers, as they are stored; locked until the transaction ends.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn stored_rejects(numbers: Vec<i64>) -> Result<Vec<StoredReject>, Failure> {
    as_owner(|| read(numbers)).map_err(Failure::from)
}

/// Drops what a scan of a heap set aside at `timestamps` (microseconds since 2000-01-01), where its rows
/// are looked at once more; returns how many there were.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn drop_rejects_at(
    pipeline_id: &str,
    scan_id: i64,
    timestamps: &[i64],
) -> Result<usize, Failure> {
    let timestamps: Vec<_> =
        timestamps.iter().map(|micros| TimestampWithTimeZone::try_from(*micros).ok()).collect();
    as_owner(|| {
        Spi::connect_mut(|client| {
            let sql = include_str!("../../sql/ledger/drop_rejects_at.sql");
            let arguments = [pipeline_id.into(), timestamps.into(), scan_id.into()];
            client.update(sql, None, &arguments).map(|dropped| dropped.len())
        })
    })
    .map_err(Failure::from)
}

/// Numbers and sizes that are read ahead.
const AHEAD: usize = 1_000;

/// A row of the table `reject`.
#[derive(Clone, Debug, Default)]
pub struct StoredReject {
    pub reject_id: i64,
    /// Microseconds since 2000-01-01.
    pub timestamp: i64,
    pub actor: Option<i64>,
    /// The column that it was set aside for; empty where the row as a whole was refused.
    pub column: String,
    pub sqlstate: String,
    pub message: String,
    pub statement: Option<String>,
    /// The mapping's further source columns: a JSON object of texts.
    pub extra: Option<String>,
    /// Statement or further columns are not as the source sent them.
    pub altered: bool,
}

/// The rejects of a period as they were when it was opened, in the order of their numbers.
pub struct RejectQueue {
    ahead: VecDeque<(i64, i64)>,
    at_end: bool,
}

impl RejectQueue {
    /// Opens the queue of what these runs of the pipeline rejected, which later transactions of this process take from too; one at a time.
    ///
    /// # Errors
    /// [`Failure`] when the ledger cannot be read.
    pub fn open(pipeline_id: &str, runs: &[i64], period: Period) -> Result<RejectQueue, Failure> {
        let sql = include_str!("../../sql/ledger/rejects_of_period.sql");
        as_owner(|| {
            Spi::run_with_args(
                sql,
                &[pipeline_id.into(), period.from.into(), period.to.into(), runs.to_vec().into()],
            )
        })?;
        Ok(RejectQueue { ahead: VecDeque::new(), at_end: false })
    }

    /// The next rejects: of about `bytes` together, or a larger one alone. `None` at the end.
    /// Those deleted since are not among them, so a piece may be empty. They are
    /// locked until the transaction ends.
    ///
    /// # Errors
    /// [`Failure`] when the ledger cannot be read.
    pub fn next(&mut self, bytes: usize) -> Result<Option<Vec<StoredReject>>, Failure> {
        let mut numbers: Vec<i64> = Vec::new();
        let mut sum = 0;
        loop {
            if self.ahead.is_empty() && !self.at_end {
                self.look_ahead()?;
            }
            let Some(&(number, size)) = self.ahead.front() else { break };
            let size = usize::try_from(size).unwrap_or(0);
            if !numbers.is_empty() && (sum + size > bytes || numbers.len() >= AHEAD) {
                break;
            }
            sum += size;
            numbers.push(number);
            self.ahead.pop_front();
        }
        if numbers.is_empty() {
            as_owner(|| Spi::run("close lrs_extract_rejects"))?;
            return Ok(None);
        }
        stored_rejects(numbers).map(Some)
    }

    fn look_ahead(&mut self) -> Result<(), Failure> {
        let fetch = format!("fetch forward {AHEAD} from lrs_extract_rejects");
        as_owner(|| {
            Spi::connect_mut(|client| {
                for row in client.update(&fetch, None, &[])? {
                    let number = row.get_by_name::<i64, _>("reject_id")?;
                    let bytes = row.get_by_name::<i64, _>("bytes")?;
                    self.ahead.extend(number.zip(bytes));
                }
                Ok::<_, pgrx::spi::Error>(())
            })
        })?;
        self.at_end = self.ahead.is_empty();
        Ok(())
    }
}

fn read(numbers: Vec<i64>) -> Result<Vec<StoredReject>, pgrx::spi::Error> {
    Spi::connect_mut(|client| {
        let sql = include_str!("../../sql/ledger/rejects.sql");
        let mut rejects = Vec::with_capacity(numbers.len());
        for row in client.update(sql, None, &[numbers.into()])? {
            let timestamp = row.get_by_name::<TimestampWithTimeZone, _>("timestamp")?;
            rejects.push(StoredReject {
                reject_id: row.get_by_name("reject_id")?.unwrap_or_default(),
                timestamp: timestamp.map_or(0, TimestampWithTimeZone::into_inner),
                actor: row.get_by_name("actor_id")?,
                column: row.get_by_name("column_name")?.unwrap_or_default(),
                sqlstate: row.get_by_name("sqlstate")?.unwrap_or_default(),
                message: row.get_by_name("message")?.unwrap_or_default(),
                statement: row.get_by_name("statement")?,
                extra: row.get_by_name("extra")?,
                altered: row.get_by_name("altered")?.unwrap_or_default(),
            });
        }
        Ok(rejects)
    })
}

/// Drops rejects that the target has taken, or whose rows the source does not have any more; returns how many there
/// were.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn drop_rejects(numbers: &[i64]) -> Result<usize, Failure> {
    let sql = include_str!("../../sql/ledger/drop_rejects.sql");
    as_owner(|| {
        Spi::connect_mut(|client| {
            client.update(sql, None, &[numbers.into()]).map(|dropped| dropped.len())
        })
    })
    .map_err(Failure::from)
}

/// Writes why rejects stay, each by its `reject_id`; their run, batch and time remain those of their
/// origin.
///
/// # Errors
/// [`Failure`] when the ledger cannot be written.
pub fn keep_rejects(kept: &[(i64, Refusal)]) -> Result<(), Failure> {
    if kept.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = kept.iter().map(|(reject_id, _)| *reject_id).collect();
    let texts = |f: fn(&Refusal) -> &String| {
        kept.iter().map(|(_, refusal)| f(refusal).clone()).collect::<Vec<_>>()
    };
    let sql = include_str!("../../sql/ledger/keep_rejects.sql");
    as_owner(|| {
        Spi::run_with_args(
            sql,
            &[
                numbers.into(),
                texts(|r| &r.column).into(),
                texts(|r| &r.sqlstate).into(),
                texts(|r| &r.message).into(),
            ],
        )
    })
    .map_err(Failure::from)
}
