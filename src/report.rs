//! What one run was like, told to the operator who asks: did it go well, how fast, what slowed it,
//! did it slow down over time, what is to be done next.
//!
//! In: the [`Facts`] of a run, as the ledger has them. Out: text for a terminal of 100 columns, or
//! one HTML page that needs nothing but itself. Names and messages come from anywhere and are
//! taken for hostile: escaped, made visible, cut. Pure Rust, no clock: the same facts make the
//! same report. Called by `api`.
//!
//! | module | what it does |
//! | --- | --- |
//! | `parts` | the time of a batch, by what it was spent on |
//! | `course`, `quarters`, `partitions` | batches and slices summed: over time, in four, by partition |
//! | `findings`, `summary` | the judgement: a headline, what stands out, what to do next; the rest in words |
//! | `text` | the text |
//! | `html`, `plot` | the page, and its drawings |
//! | `words`, `legible` | numbers in words; foreign text made fit to print |

#[cfg(test)]
mod any;
mod course;
mod findings;
mod html;
mod legible;
mod partitions;
mod parts;
mod plot;
mod quarters;
#[cfg(test)]
mod sample;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod words;

use chrono::{DateTime, Utc};
use std::time::Duration;

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of at most 100 columns, for psql.
    Text,
    /// One HTML page with its drawings inside.
    Html,
}

impl Format {
    /// The words that [`Format::parse`] takes.
    pub const WORDS: [&str; 2] = ["text", "html"];

    /// Reads the argument `format` of the SQL function.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "text" => Some(Format::Text),
            "html" => Some(Format::Html),
            _ => None,
        }
    }
}

/// Writes the report of a run.
pub fn render(facts: &Facts, format: Format) -> String {
    match format {
        Format::Text => text::render(facts),
        Format::Html => html::render(facts),
    }
}

/// All that is known of one run.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When the facts were read: the end, so far, of a run that goes on.
    pub as_of: DateTime<Utc>,
    pub run: Run,
    pub shares: Shares,
    pub stage: Stage,
    /// In any order.
    pub slices: Vec<Slice>,
    /// In any order; all of them, or the run's course is told wrong.
    pub batches: Vec<Batch>,
    /// The most frequent first.
    pub rejects: Vec<RejectGroup>,
}

/// Where a run stands: the words of the view `runs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    Running,
    Done,
    Failed,
    Cancelled,
    /// Its processes are gone, and nobody could say why in the ledger.
    Interrupted,
}

impl RunState {
    /// Reads the word of the view `runs`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "running" => Some(RunState::Running),
            "done" => Some(RunState::Done),
            "failed" => Some(RunState::Failed),
            "cancelled" => Some(RunState::Cancelled),
            "interrupted" => Some(RunState::Interrupted),
            _ => None,
        }
    }

    /// The word of the view `runs`.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Interrupted => "interrupted",
        }
    }
}

/// A call of `pull`, its sums, and how far it is.
#[derive(Clone, Debug)]
pub struct Run {
    pub run_id: i64,
    pub pipeline: String,
    pub state: RunState,
    /// Start of the period, inclusive.
    pub from: DateTime<Utc>,
    /// End of the period, exclusive.
    pub to: DateTime<Utc>,
    pub batch_size: i64,
    pub jobs: i32,
    /// 'batch', 'slice' or 'caller'.
    pub commit_mode: String,
    pub again: bool,
    /// The role that called.
    pub caller: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
    pub sqlstate: Option<String>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The source's `version()`, or the number alone.
    pub source_version: Option<String>,
    /// The target's name, with its schema.
    pub target: Option<String>,
    /// Share of the estimated rows that is pulled, 0 to 1.
    pub share_done: f64,
    pub rows: i64,
    pub rejected: i64,
    /// Bytes read from the source.
    pub bytes: i64,
    /// Statements whose jsonb the server made, because the fast reader would not vouch for it.
    pub fallbacks: i64,
    pub rows_per_second: f64,
    pub bytes_per_second: f64,
    /// An estimate, while the run goes on.
    pub time_left: Option<Duration>,
    /// Up to here the period is pulled without a gap; none where all of it is.
    pub watermark: Option<DateTime<Utc>>,
}

/// Where the workers' time went: shares that add up to 1, or all 0 where nothing was measured.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    pub source: f64,
    pub transform: f64,
    /// Without the waits for locks.
    pub insert: f64,
    pub commit: f64,
    pub lock: f64,
    pub throttle: f64,
    /// The part to act on ('source', 'transform', 'insert', 'commit', 'lock', 'throttle'), or
    /// 'balanced'.
    pub verdict: String,
    /// What to do about it: one or two sentences.
    pub advice: String,
}

/// What the stage did during the run, and what hangs on the target. `None`: not known.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// Written by the run's own workers.
    pub wal_bytes: Option<i64>,
    /// Checkpoints that came by `checkpoint_timeout`.
    pub checkpoints_timed: Option<i64>,
    /// Checkpoints that were asked for, above all by WAL reaching `max_wal_size`.
    pub checkpoints_requested: Option<i64>,
    /// Autovacuums of the target.
    pub autovacuums: Option<i64>,
    /// Autoanalyzes of the target.
    pub autoanalyzes: Option<i64>,
    pub indexes: Vec<Index>,
    /// Names of the target's row triggers.
    pub triggers: Vec<String>,
    /// Pages that were tried again, all slices together.
    pub retries: i64,
}

/// An index of the target.
#[derive(Clone, Debug)]
pub struct Index {
    pub name: String,
    /// Its size when the facts were read.
    pub bytes: i64,
}

/// Where a slice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceState {
    Todo,
    /// Claimed by a worker; of a run that has ended: left unfinished.
    Running,
    Done,
}

impl SliceState {
    /// Reads the word of the table `slice`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "todo" => Some(SliceState::Todo),
            "running" => Some(SliceState::Running),
            "done" => Some(SliceState::Done),
            _ => None,
        }
    }
}

/// A stretch of the period, as workers share it out.
#[derive(Clone, Debug)]
pub struct Slice {
    pub slice_no: i32,
    pub partition: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub state: SliceState,
    pub worker: Option<i32>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub estimated_rows: i64,
    pub rows: i64,
    pub rejected: i64,
    pub bytes: i64,
    /// Pages that were tried again.
    pub retries: i64,
    pub last_error: Option<String>,
    /// How the source walks it, by its plan.
    pub access_path: String,
    /// What the plan warned of.
    pub warning: Option<String>,
}

/// A committed batch. Times are of the worker that made it.
#[derive(Clone, Debug)]
pub struct Batch {
    pub batch_no: i32,
    pub slice_no: i32,
    pub worker: i32,
    /// When it was recorded, just before its commit.
    pub finished_at: DateTime<Utc>,
    /// Rows that the target took.
    pub rows: i64,
    pub rejected: i64,
    /// Bytes read from the source.
    pub bytes: i64,
    pub source_wait_ms: f64,
    pub transform_ms: f64,
    /// With the waits for locks.
    pub insert_ms: f64,
    /// None where it is not known yet, or not the batch's own.
    pub commit_ms: Option<f64>,
    /// How much of `insert_ms` was a wait for locks.
    pub lock_ms: f64,
    pub throttle_ms: f64,
    /// From the batch's begin to `finished_at`, so without the commit.
    pub elapsed_ms: f64,
    pub wal_bytes: i64,
}

/// Rejected rows with the same column and SQLSTATE.
#[derive(Clone, Debug)]
pub struct RejectGroup {
    /// None where the row as a whole was refused.
    pub column: Option<String>,
    pub sqlstate: String,
    pub count: i64,
    /// The message of one of them.
    pub example: String,
}

impl Facts {
    /// When the run ended: now, for one that goes on; the last sign of life, for one that nobody
    /// closed.
    fn end(&self) -> DateTime<Utc> {
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
    fn seconds(&self) -> f64 {
        words::seconds_between(self.run.started_at, self.end())
    }

    /// The batches in the order in which they finished.
    fn batches_in_order(&self) -> Vec<&Batch> {
        let mut batches: Vec<&Batch> = self.batches.iter().collect();
        batches.sort_by_key(|b| (b.finished_at, b.batch_no));
        batches
    }

    /// Slices that are done.
    fn slices_done(&self) -> usize {
        self.slices.iter().filter(|s| s.state == SliceState::Done).count()
    }
}

impl Batch {
    /// Rows that went through it, to the target or to `reject`: what its time was spent on.
    fn handled(&self) -> f64 {
        self.rows.max(0) as f64 + self.rejected.max(0) as f64
    }
}
