//! Everything a worker needs to know of a pull.

use super::actor::Actor;
use crate::ledger::Care;
use crate::load::Target;
use crate::slice::Interval;
use crate::source::{ConnectSpec, WalkTable};
use crate::transform::Recipe;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where the boundaries of the commits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitMode {
    Batch,
    Slice,
    /// In the caller's own transaction.
    Caller,
}

impl CommitMode {
    /// Reads the argument `commit` of `pull`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "batch" => Some(CommitMode::Batch),
            "slice" => Some(CommitMode::Slice),
            "caller" => Some(CommitMode::Caller),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            CommitMode::Batch => "batch",
            CommitMode::Slice => "slice",
            CommitMode::Caller => "caller",
        }
    }
}

/// A slice to pull.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SliceRequest {
    pub slice_no: i32,
    pub partition: String,
    pub interval: Interval,
    pub estimated_rows: i64,
    /// What the plan warned of.
    pub warning: Option<String>,
}

/// A call of `pull`, checked and planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub run_id: i64,
    pub pipeline: String,
    /// The period after clipping.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub batch: i32,
    pub jobs: i32,
    pub commit: CommitMode,
    pub again: bool,
    /// The caller's role, by name.
    pub caller: String,
    pub actor: Actor,
    pub connect: ConnectSpec,
    pub table: WalkTable,
    pub target: Target,
    pub recipe: Recipe,
    pub slices: Vec<SliceRequest>,
    /// How the source was to be treated when the run began.
    pub care: Care,
    /// What of the pipeline must not change until the run ends; see [`crate::ledger::Pipeline`].
    pub meaning: Option<String>,
    pub worker_memory: usize,
    pub transform_threads: usize,
}

impl Request {
    /// The slice of that number.
    pub fn slice(&self, slice_no: i32) -> Option<&SliceRequest> {
        self.slices.iter().find(|s| s.slice_no == slice_no)
    }

    /// How a worker's session on the source is named.
    pub fn application_name(&self, worker: i32) -> String {
        self.connect.session_name(&format!("run={} worker={worker}", self.run_id))
    }
}
