//! What a reader is asked for, and what it hands over.

use super::batch_size::BatchSize;
use super::describe::WalkTable;
use super::options::ConnectSpec;
use super::throttle::Throttle;
use crate::slice::{Blocks, HeapScan, Interval, Key, Position};
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// What the reader is to do; travels to its thread.
#[derive(Clone, Debug)]
pub struct WalkRequest {
    pub connect: ConnectSpec,
    pub application_name: String,
    pub table: WalkTable,
    pub range: WalkRange,
    pub batch: BatchSize,
    /// The partition that was to hold the range when the walk was planned.
    pub partition: String,
    pub throttle: Arc<Throttle>,
    /// Whether a row was met that the source cannot send.
    pub careful: bool,
}

/// What is walked.
#[derive(Clone, Debug)]
pub enum WalkRange {
    /// Keys, in their order.
    Keys { interval: Interval, estimated_rows: i64 },
    /// Keys, in windows that follow each other; the rows of each in the order of the heap.
    Windows { interval: Interval, estimated_rows: i64 },
    /// Blocks of a heap, in theirs.
    Heap {
        scan: HeapScan,
        blocks: Blocks,
        /// Whether the scan has met row versions that are newer than it is.
        new_versions: bool,
    },
    /// Rows that a comparison found missing in the target.
    Wanted(Wanted),
}

/// Rows that are wanted one by one.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The hash of a row's statement, as SQL of the source.
    pub hash: String,
    /// Timestamp, hash, and how many of those that are alike.
    pub rows: Vec<(DateTime<Utc>, i64, i64)>,
}

/// What the reader hands over, in the order of the walk.
#[derive(Debug)]
pub enum StreamItem<R> {
    Rows(R),
    BatchEnd(BatchEnd),
}

/// Where a batch ends. Passes unchanged from the reader to the puller, which commits it.
#[derive(Clone, Copy, Debug)]
pub struct BatchEnd {
    /// Everything up to here has been handed over.
    pub position: Position,
    /// The key of the batch's last row, if it has any.
    pub last: Option<Key>,
    /// Whether this is the range's end.
    pub done: bool,
    /// Row versions met that are newer than the scan of the heap, and were not handed over.
    pub new_versions: u64,
}
