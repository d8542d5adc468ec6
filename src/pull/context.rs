//! Where a pull is executed: in a worker, or in the caller's own backend.

use crate::backend::transaction::Unit;
use crate::error::Failure;
use crate::ledger::Batch;
use crate::slice::Slice;
use crate::source::Doing;
use std::time::Duration;

/// What a worker does, in the words of pg_stat_activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Connecting,
    Source,
    Paused,
    Throttled,
    Transform,
    Insert,
    Compare,
    Commit,
    Retry,
}

impl Phase {
    /// What the wait for a stream is a wait for: its reader is `doing` this, its transform is at
    /// work or not, and there was trouble since the last batch or not.
    pub fn of(doing: Doing, transforming: bool, retrying: bool) -> Self {
        match doing {
            Doing::Connecting if retrying => Phase::Retry,
            Doing::Connecting => Phase::Connecting,
            Doing::Paused | Doing::Asking => Phase::Paused,
            Doing::Throttled => Phase::Throttled,
            Doing::Reading | Doing::Full if transforming => Phase::Transform,
            Doing::Reading | Doing::Full => Phase::Source,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Connecting => "connecting to the source",
            Phase::Source => "waiting for the source",
            Phase::Paused => "paused by pause_while",
            Phase::Throttled => "throttled by max_bytes_per_second",
            Phase::Transform => "transforming",
            Phase::Insert => "inserting",
            Phase::Compare => "comparing",
            Phase::Commit => "committing",
            Phase::Retry => "retrying",
        }
    }
}

/// Rows that came from the source, and those of them that were rejected; less than zero where they are
/// taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub read: i64,
    pub rejected: i64,
}

impl Counted {
    pub fn of(read: u64, rejected: usize) -> Counted {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Counted { read: count(read), rejected: count(rejected as u64) }
    }
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Counted) {
        self.read += other.read;
        self.rejected += other.rejected;
    }
}

impl std::ops::Neg for Counted {
    type Output = Counted;

    fn neg(self) -> Counted {
        Counted { read: -self.read, rejected: -self.rejected }
    }
}

/// What differs between a worker and the caller's own backend.
pub trait ExecutionContext {
    /// Starts a unit of work.
    fn begin(&mut self) -> Unit;
    /// Numbers the next batch.
    fn number_batch(&mut self) -> i32;
    /// Takes a batch that is committed.
    fn report(&mut self, batch: Batch);
    /// Shows what is being done.
    fn announce(&mut self, slice: &Slice, phase: Phase);
    /// Warns of trouble that is waited out.
    fn warn(&mut self, text: &str);
    /// Looks for a reason to stop; called at least every [`crate::backend::latch::POLL_INTERVAL`].
    ///
    /// # Errors
    /// The reason.
    fn check_stop(&mut self) -> Result<(), Failure>;
    /// How long this context was seen waiting for locks since the last call; zero where nobody
    /// watches it.
    fn take_lock_time(&mut self) -> Duration {
        Duration::ZERO
    }
    /// How many read from the source for this run now, this one among them.
    fn readers(&self) -> u32 {
        1
    }
    /// Notes that this one has read from the source.
    fn note_reading(&mut self) {}
    /// Whether others can pull the slice that this one has, which cannot connect: it is given back.
    ///
    /// # Errors
    /// [`Failure`] when the ledger cannot be written.
    fn give_back(&mut self, _slice: &Slice) -> Result<bool, Failure> {
        Ok(false)
    }
    /// Adds rows of the run, some of them rejected, or takes them back; returns how many they are of all
    /// who read for it, what is not committed included.
    fn count(&mut self, rows: Counted) -> Counted;
    /// This worker's number, from 1; 0 for the caller's own backend.
    fn worker(&self) -> i32;
}
