//! The facts of a run: the report's input, as the ledger gives them.

use super::words;
use chrono::serde::{ts_microseconds, ts_microseconds_option};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// All that is known of one run: what `sql/ledger/report.sql` gives, times in microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// When the facts were read: the end, so far, of a run that goes on.
    #[serde(with = "ts_microseconds")]
    pub as_of: DateTime<Utc>,
    pub run: Run,
    /// Where source and stage differed.
    #[serde(default)]
    pub differences: Differences,
    pub shares: Shares,
    pub stage: Stage,
    /// By their numbers.
    pub slices: Vec<Slice>,
    /// In the order in which they finished.
    pub batches: Vec<Batch>,
    /// The most frequent first.
    pub rejects: Vec<RejectGroup>,
}

/// Where a run stands: the words of the view `runs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Running,
    Done,
    Failed,
    Cancelled,
    /// Its processes are gone, and none of them wrote why to the ledger.
    Interrupted,
}

/// What was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Pull,
    Repair,
}

/// Sums over the ranges in which source and stage differed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    pub ranges: i64,
    pub missing: i64,
    pub surplus: i64,
    /// Of those, pairs under the same id.
    pub changed: i64,
    pub pulled: i64,
    pub deleted: i64,
}

/// A call of `pull` or `repair`, its sums, and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub run_id: i64,
    #[serde(default)]
    pub kind: Kind,
    pub pipeline: String,
    pub state: RunState,
    /// Start of the period, inclusive.
    #[serde(with = "ts_microseconds")]
    pub from: DateTime<Utc>,
    /// End of the period, exclusive.
    #[serde(with = "ts_microseconds")]
    pub to: DateTime<Utc>,
    pub batch_size: i64,
    pub jobs: i32,
    /// 'batch', 'slice' or 'caller'.
    pub commit_mode: String,
    pub again: bool,
    /// The role that called.
    pub caller: String,
    pub target: Option<String>,
    #[serde(with = "ts_microseconds")]
    pub started_at: DateTime<Utc>,
    #[serde(with = "ts_microseconds_option", default)]
    pub finished_at: Option<DateTime<Utc>>,
    pub sqlstate: Option<String>,
    pub error: Option<String>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Share of the estimated rows that is pulled, 0 to 1.
    pub share_done: f64,
    pub rows: i64,
    pub rejected: i64,
    /// Rows left out because the target has their unique key already.
    #[serde(default)]
    pub skipped: i64,
    /// Rows that came from the source.
    pub rows_read: i64,
    /// Read from the source.
    pub bytes: i64,
    /// Statements whose jsonb the server made.
    pub fallbacks: i64,
    /// Of the last minute while the run goes on, of all of it afterwards.
    pub rows_per_second: f64,
    pub bytes_per_second: f64,
    /// An estimate, while the run goes on.
    pub seconds_left: Option<f64>,
    /// Up to here the period is pulled without a gap; none where all of it is.
    #[serde(with = "ts_microseconds_option", default)]
    pub watermark: Option<DateTime<Utc>>,
}

/// Where the workers' time went, and what to do about it: the view `bottleneck`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shares {
    pub source: f64,
    pub transform: f64,
    pub insert: f64,
    pub commit: f64,
    pub lock: f64,
    pub throttle: f64,
    pub verdict: String,
    pub advice: String,
}

/// What the stage did during the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// Written by the run's own processes.
    pub wal_bytes: i64,
    /// Counters at the run's begin.
    pub start: Option<Counters>,
    /// Counters at its end, or now; none where no process was left to read them.
    pub end: Option<Counters>,
}

/// What a server counts from its own beginning.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Counters {
    /// Checkpoints that came by `checkpoint_timeout`.
    pub checkpoints_timed: i64,
    /// Checkpoints that were asked for, above all by WAL reaching `max_wal_size`.
    pub checkpoints_requested: i64,
    /// Of the target and its partitions.
    pub autovacuums: i64,
    pub autoanalyzes: i64,
    /// Vacuums of the target at work at that moment.
    pub vacuums_running: i64,
}

/// Where a slice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SliceState {
    Todo,
    /// Claimed by a worker; of a run that has ended: left unfinished.
    Running,
    Done,
}

/// A stretch of the period, as workers share it out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slice {
    pub slice_no: i32,
    pub partition: String,
    #[serde(with = "ts_microseconds")]
    pub from: DateTime<Utc>,
    #[serde(with = "ts_microseconds")]
    pub to: DateTime<Utc>,
    pub state: SliceState,
    pub worker: Option<i32>,
    #[serde(with = "ts_microseconds_option", default)]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(with = "ts_microseconds_option", default)]
    pub finished_at: Option<DateTime<Utc>>,
    pub estimated_rows: i64,
    pub rows: i64,
    pub rejected: i64,
    /// What the plan warned of.
    pub warning: Option<String>,
    /// Which way it was walked, and why; none in a ledger of 0.1.0.
    #[serde(default)]
    pub walk: Option<String>,
}

/// A committed batch. Times are of the worker that made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// When it was recorded, just before its commit.
    #[serde(with = "ts_microseconds")]
    pub finished_at: DateTime<Utc>,
    pub rows: i64,
    pub rejected: i64,
    pub source_wait_ms: f64,
    pub transform_ms: f64,
    /// With most of the waits for locks.
    pub insert_ms: f64,
    /// Not known yet, or not the batch's own: none.
    pub commit_ms: Option<f64>,
    pub lock_ms: f64,
    pub throttle_ms: f64,
    /// From the batch's begin to its end, with the commit where that is known.
    pub elapsed_ms: f64,
}

/// Rejected rows with the same column and SQLSTATE.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RejectGroup {
    /// None where the row as a whole was refused.
    pub column: Option<String>,
    pub sqlstate: String,
    pub count: i64,
    /// The message of one of them.
    pub example: String,
}

impl Facts {
    /// When the run ended: now, for one that goes on; the last sign of life, for one that no process
    /// closed.
    pub fn end(&self) -> DateTime<Utc> {
        let run = &self.run;
        let end = match (run.finished_at, run.state) {
            (Some(finished), _) => finished,
            (None, RunState::Running) => self.as_of,
            (None, _) => {
                let slices = self.slices.iter().flat_map(|s| [s.started_at, s.finished_at]);
                let batches = self.batches.iter().map(|b| Some(b.finished_at));
                slices.chain(batches).flatten().max().unwrap_or(run.started_at)
            }
        };
        end.max(run.started_at)
    }

    /// How long the run took, in seconds.
    pub fn seconds(&self) -> f64 {
        words::seconds_between(self.run.started_at, self.end())
    }

    pub fn slices_done(&self) -> usize {
        self.slices.iter().filter(|s| s.state == SliceState::Done).count()
    }
}

impl Stage {
    /// What a counter grew by during the run; none where that is not known, or where the
    /// statistics were reset during the run.
    pub fn during(&self, counter: fn(&Counters) -> i64) -> Option<i64> {
        let grown = counter(&self.end?).saturating_sub(counter(&self.start?));
        (grown >= 0).then_some(grown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn counters_that_were_reset_tell_nothing() {
        let Stage { start, end, .. } = sample::slowing(10).stage;
        let [during, reset] = [(start, end), (end, start)].map(|(start, end)| {
            Stage { wal_bytes: 0, start, end }.during(|c| c.checkpoints_requested)
        });
        assert_eq!((during, reset), (Some(14), None));
    }
}
