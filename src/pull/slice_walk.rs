//! How far a slice is pulled, and what of it is under way.

use super::comparing::RangeRepair;
use super::context::Counted;
use super::open_batch::OpenBatch;
use super::request::PullRequest;
use crate::backend::transaction::Unit;
use crate::error::Failure;
use crate::ledger::{Batch, SetAside};
use crate::slice::{Blocks, Interval, Position, Slice};
use crate::source::{ConnectSpec, Throttle, WalkRange, WalkRequest};
use crate::threads::{Stream, Waited};
use std::sync::Arc;

/// A walk over what is left of one slice.
pub struct SliceWalk {
    pub slice: Slice,
    /// Everything before it is committed (or, in the caller's transaction, loaded).
    pub watermark: Position,
    pub stream: Option<Stream>,
    pub unit: Option<Unit>,
    pub open: OpenBatch,
    /// Batches that commit with their slice.
    pub uncommitted: Vec<Batch>,
    /// Rejects of those and of the open batch that get another try before the commit.
    pub set_aside: Vec<SetAside>,
    /// Rows of those and of the open batch, as the context has counted them.
    pub counted: Counted,
    /// Row versions newer than the scan that the reader met since the last commit.
    pub new_versions: u64,
    pub done: bool,
    /// Given back for another worker to claim; this one cannot connect.
    pub given_back: bool,
    /// Whether a row was met that the source cannot send: pages are read so that it can be told.
    pub careful: bool,
    /// The range that is repaired, where the slice is no longer pulled.
    pub repair: Option<RangeRepair>,
    /// Whether the source has not brought what was found missing: the range has changed since it was compared, and
    /// nothing was done.
    pub stale: bool,
}

impl SliceWalk {
    pub fn new(slice: Slice) -> Self {
        let watermark = slice.begin();
        SliceWalk {
            slice,
            watermark,
            stream: None,
            unit: None,
            open: OpenBatch::begin(Waited::default()),
            uncommitted: Vec::new(),
            set_aside: Vec::new(),
            counted: Counted::default(),
            new_versions: 0,
            done: false,
            given_back: false,
            careful: false,
            repair: None,
            stale: false,
        }
    }

    /// Whether nothing of the slice is committed.
    pub fn is_untouched(&self) -> bool {
        self.watermark == self.slice.begin()
    }

    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Forgets what is under way; returns the rows of it that were counted.
    pub fn drop_open(&mut self) -> Counted {
        self.uncommitted.clear();
        self.set_aside.clear();
        self.new_versions = 0;
        if let Some(repair) = &mut self.repair {
            repair.deleted = None;
        }
        std::mem::take(&mut self.counted)
    }

    /// What a reader is to do, over a session as `connect` says, for worker `worker`, of what is left of the slice.
    ///
    /// # Errors
    /// As [`SliceWalk::range`].
    pub fn reading(
        &self,
        request: &PullRequest,
        connect: ConnectSpec,
        worker: i32,
        throttle: &Arc<Throttle>,
        new_versions: bool,
    ) -> Result<WalkRequest, Failure> {
        Ok(WalkRequest {
            connect,
            application_name: request.application_name(worker),
            table: request.table.clone(),
            range: self.range(request, new_versions)?,
            batch: request.batch,
            partition: self.slice.partition.clone(),
            throttle: throttle.clone(),
            careful: self.careful,
        })
    }

    /// What is left of the slice; `new_versions`: whether other slices of its scan met such.
    ///
    /// # Errors
    /// [`Failure`] where the slice is of no scan that the request has.
    fn range(&self, request: &PullRequest, new_versions: bool) -> Result<WalkRange, Failure> {
        let (slice, end) = (&self.slice, self.slice.interval.to);
        if let Some(repair) = &self.repair {
            return Ok(WalkRange::Wanted(repair.wanted.clone()));
        }
        match (self.watermark, slice.blocks) {
            (Position::Block(from), Some(blocks)) => {
                let scan = request.scan(blocks.scan_id).cloned();
                let scan = scan.ok_or_else(|| Failure::internal("no such scan in the request"))?;
                Ok(WalkRange::Heap { scan, blocks: Blocks { from, ..blocks }, new_versions })
            }
            (Position::Block(_), None) => Err(Failure::internal("a block of no heap")),
            (Position::Key(edge), _) if slice.in_windows => Ok(WalkRange::Windows {
                interval: Interval::new(edge, end),
                estimated_rows: slice.estimated_rows,
            }),
            (Position::Key(edge), _) => Ok(WalkRange::Keys {
                interval: Interval::new(edge, end),
                estimated_rows: slice.estimated_rows,
            }),
        }
    }
}
