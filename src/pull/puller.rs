//! A slice pulled: stream to loader to ledger, batch after batch, again after transient errors.

mod comparison;
mod recovery;

use super::context::{Counted, ExecutionContext, Phase};
use super::failure::{ConstraintChecks, PullError};
use super::memory::{FLUSH_BYTES, in_flight};
use super::open_batch::OpenBatch;
use super::pipeline_watch::PipelineWatch;
use super::request::{CommitMode, PullRequest};
use super::second_try::{second_try, set_aside};
use super::slice_walk::SliceWalk;
use super::way::Way;
use crate::backend::latch::POLL_INTERVAL;
use crate::backend::time::millis;
use crate::backend::transaction::catching;
use crate::error::Failure;
use crate::ledger::{self, Batch};
use crate::load::Loader;
use crate::source::{BatchEnd, Parking, StreamItem, Throttle, has_session};
use crate::threads::{RetryPolicy, Stream, Waited};
use crate::transform::BoundMapping;
use crate::verify::SourceSums;
use pgrx::Spi;
use std::sync::Arc;
use std::time::Instant;

/// Pulls slices, one after the other.
pub struct Puller<C: ExecutionContext> {
    pub context: C,
    request: Arc<PullRequest>,
    mapping: Arc<BoundMapping>,
    loader: Option<Loader>,
    retry: RetryPolicy,
    watch: PipelineWatch,
    throttle: Arc<Throttle>,
    /// Among how many the throttle's rate is shared.
    readers: u32,
    /// The session of the slice before.
    parking: Parking,
    way: Way,
    /// A batch number that a failed attempt left unused.
    number: Option<i32>,
    /// Commits whose time the ledger does not know yet.
    commit_times: Vec<(i32, f64)>,
    checks: ConstraintChecks,
    /// What a question to the source may be of, as far as it was found out.
    sums: Option<SourceSums>,
    /// Whether a repair has seen that the target has statements as they come.
    keeps_statements: bool,
}

impl<C: ExecutionContext> Puller<C> {
    pub fn new(context: C, request: Arc<PullRequest>) -> Self {
        let limits = &request.source_limits;
        let readers = context.readers();
        Puller {
            context,
            mapping: Arc::new(request.mapping.clone()),
            retry: RetryPolicy::new(limits.retries, limits.retry_delay, request.batch.rows()),
            watch: PipelineWatch::new(&request),
            throttle: Throttle::new(limits.rate(readers), limits.pause_while.as_deref()),
            readers,
            way: Way::new(&request.connect),
            request,
            parking: Parking::default(),
            loader: None,
            number: None,
            commit_times: Vec::new(),
            checks: ConstraintChecks::default(),
            sums: None,
            keeps_statements: false,
        }
    }

    /// Pulls one more batch of the walk, through trouble that passes; or gives the slice back, see
    /// [`SliceWalk::given_back`].
    ///
    /// # Errors
    /// [`Failure`] when another attempt would not help; everything committed stays.
    pub fn advance(&mut self, walk: &mut SliceWalk) -> Result<(), Failure> {
        self.attempt(walk, Self::next_batch).map(|_| ())
    }

    /// Runs `f`, which leaves what it has under way in the walk, until it succeeds; `None` where the slice is
    /// given back.
    fn attempt<T>(
        &mut self,
        walk: &mut SliceWalk,
        mut f: impl FnMut(&mut Self, &mut SliceWalk) -> Result<T, PullError>,
    ) -> Result<Option<T>, Failure> {
        loop {
            let error = match catching(|| Ok(f(self, walk))) {
                Ok(Ok(value)) => return Ok(Some(value)),
                Ok(Err(error)) => error,
                Err(failure) => PullError::Stage(failure),
            };
            // First the reader, so that the source is free while the stage rolls back.
            walk.stream = None;
            self.context.count(-walk.drop_open());
            if let Some(loader) = &mut self.loader {
                loader.discard();
            }
            if let Some(unit) = walk.unit.take() {
                unit.roll_back();
            }
            catching(|| self.recover(walk, error))?;
            if walk.given_back {
                return Ok(None);
            }
        }
    }

    fn start(&mut self, walk: &SliceWalk) -> Result<Stream, Failure> {
        self.throttle.set_page(self.retry.page());
        // What the other slices of a scan met counts when they all are done.
        let new_versions = match walk.slice.ends_scan() {
            Some(scan_id) => self.in_unit(|_| ledger::met_new_versions(scan_id))?,
            None => false,
        };
        if !has_session(&self.parking) {
            self.in_unit(|puller| puller.way.ask())?;
        }
        let (request, worker) = (&self.request, self.context.worker());
        let connect = self.way.connect();
        let reading = walk.reading(request, connect, worker, &self.throttle, new_versions)?;
        let (memory, threads) = (in_flight(request.worker_memory), request.transform_threads);
        Stream::start(reading, &self.mapping, &self.parking, memory, threads)
    }

    /// Loads rows until a batch ends, and records it.
    fn next_batch(&mut self, walk: &mut SliceWalk) -> Result<(), PullError> {
        if walk.repair.as_ref().is_some_and(|repair| repair.wanted.rows.is_empty()) {
            // There is nothing to be read: rows are deleted, or told alone.
            walk.open = OpenBatch::begin(Waited::default());
            let end =
                BatchEnd { position: walk.watermark, last: None, done: true, new_versions: 0 };
            return Ok(self.end_batch(walk, Waited::default(), end)?);
        }
        let mut stream = match walk.stream.take() {
            Some(stream) => stream,
            None => {
                walk.open = OpenBatch::begin(Waited::default());
                self.start(walk)?
            }
        };
        loop {
            self.context.check_stop()?;
            self.apply_changes_when_due(walk)?;
            match stream.poll()? {
                Some(StreamItem::Rows(rows)) => {
                    self.context.note_reading();
                    self.open_unit(walk)?;
                    walk.open.add_bytes(rows.raw.wire_bytes);
                    if self.loader.as_ref().is_some_and(|l| l.needs_flush_before(&rows)) {
                        self.flush(walk)?;
                    }
                    if let Some(loader) = &mut self.loader {
                        loader.push(*rows);
                        if loader.pending_bytes() >= FLUSH_BYTES {
                            self.flush(walk)?;
                        }
                    }
                }
                Some(StreamItem::BatchEnd(end)) => {
                    self.context.note_reading();
                    self.end_batch(walk, stream.waited, end)?;
                    if !end.done {
                        walk.stream = Some(stream);
                    }
                    return Ok(());
                }
                None if stream.is_starved() && self.has_pending() => self.flush(walk)?,
                None => {
                    let retrying = self.retry.attempt() > 0;
                    let phase = Phase::of(stream.doing(), stream.is_transforming(), retrying);
                    self.context.announce(&walk.slice, phase);
                    stream.wait(POLL_INTERVAL)?;
                }
            }
        }
    }

    fn has_pending(&self) -> bool {
        self.loader.as_ref().is_some_and(Loader::has_pending)
    }

    /// Opens the unit of work that the next rows belong to.
    fn open_unit(&mut self, walk: &mut SliceWalk) -> Result<(), Failure> {
        if walk.unit.is_none() {
            walk.unit = Some(self.context.begin());
            if self.checks == ConstraintChecks::Immediate {
                Spi::run("set constraints all immediate")?;
            }
            self.delete_surplus(walk)?;
        }
        if self.loader.is_none() {
            let PullRequest { target, mapping, identity, on_conflict, .. } = &*self.request;
            let identity = identity.as_ref();
            self.loader = Some(Loader::new(target, mapping.clone(), identity, *on_conflict)?);
        }
        Ok(())
    }

    fn flush(&mut self, walk: &mut SliceWalk) -> Result<(), Failure> {
        self.context.announce(&walk.slice, Phase::Insert);
        if let Some(loader) = &mut self.loader {
            let loaded = loader.flush()?;
            let pipeline = self.request.pipeline_id.as_str();
            // What was set aside at these times comes once more.
            let dropped = match (&loaded.rechecked, walk.slice.blocks) {
                (Some(times), Some(blocks)) => {
                    ledger::drop_rejects_at(pipeline, blocks.scan_id, times)?
                }
                _ => 0,
            };
            walk.open.add_flush(&loaded, dropped);
            // At once, so that they take no memory until the batch ends.
            let again = self.checks == ConstraintChecks::Immediate;
            let number = self.number();
            set_aside(&mut self.context, &self.request, walk, number, &loaded, again)?;
        }
        Ok(())
    }

    /// The number of the open batch.
    fn number(&mut self) -> i32 {
        *self.number.get_or_insert_with(|| self.context.number_batch())
    }

    /// Writes the checkpoint and commits where a boundary is.
    fn end_batch(
        &mut self,
        walk: &mut SliceWalk,
        waited: Waited,
        end: BatchEnd,
    ) -> Result<(), Failure> {
        self.open_unit(walk)?;
        if self.has_pending() {
            self.flush(walk)?;
        }
        let open = std::mem::replace(&mut walk.open, OpenBatch::begin(waited));
        let mut batch = Batch {
            slice_no: walk.slice.slice_no,
            worker: self.context.worker(),
            last: end.last,
            slice_done: end.done,
            lock_ms: millis(self.context.take_lock_time()),
            ..open.sum(waited)
        };
        let run_id = self.request.run_id;
        self.apply_changes()?;
        self.record_commit_times()?;
        if let Some(repair) = &walk.repair {
            if batch.read < repair.wanted_rows() {
                self.abandon(walk);
                return Ok(());
            }
            if !self.keeps_statements && batch.taken() == repair.wanted_rows() && batch.rows > 0 {
                let comparing = self.request.comparing.as_ref();
                comparing.map_or(Ok(()), |c| repair.check_kept(&c.sides, &self.request.target))?;
                self.keeps_statements = true;
            }
            let (batch_no, range) = (self.number(), repair.outcome());
            batch = Batch {
                batch_no,
                elapsed_ms: open.elapsed_ms(),
                slice_done: false,
                range: Some(range),
                ..batch
            };
            let partition = &walk.slice.partition;
            ledger::record_batch(run_id, &batch, partition, None)?;
            ledger::record_difference(run_id, batch_no, partition, &range, batch.taken())?;
        } else if end.last.is_some() {
            batch.batch_no = self.number();
            batch.elapsed_ms = open.elapsed_ms();
            ledger::record_batch(run_id, &batch, &walk.slice.partition, Some(end.position))?;
        } else if end.done {
            ledger::close_slice(run_id, walk.slice.slice_no, end.position)?;
        }
        walk.new_versions += end.new_versions;
        if let Some(scan_id) = walk.slice.ends_scan().filter(|_| end.done) {
            ledger::close_scan(scan_id)?;
        }
        self.number = None;
        walk.uncommitted.push(batch);
        if end.done || self.request.commit != CommitMode::Slice {
            self.commit(walk, end)?;
        }
        Ok(())
    }

    /// Takes back what the open unit has done of a range that is to be compared anew.
    fn abandon(&mut self, walk: &mut SliceWalk) {
        self.context.count(-walk.drop_open());
        if let Some(unit) = walk.unit.take() {
            unit.roll_back();
        }
        walk.stale = true;
        walk.done = true;
    }

    fn commit(&mut self, walk: &mut SliceWalk, end: BatchEnd) -> Result<(), Failure> {
        self.context.announce(&walk.slice, Phase::Commit);
        let begun = Instant::now();
        if let Some(loader) = &mut self.loader {
            second_try(&mut self.context, &self.request, walk, loader)?;
        }
        // At the last moment: all workers write to the one row of the scan.
        let new_versions = std::mem::take(&mut walk.new_versions);
        if let Some(blocks) = walk.slice.blocks.filter(|_| new_versions > 0) {
            ledger::note_new_versions(blocks.scan_id, new_versions)?;
        }
        if let Some(unit) = walk.unit.take() {
            self.checks.commit_begins();
            unit.commit()?;
        }
        // Only now: with commit => 'slice', batches before this came to nothing where it failed.
        self.checks = ConstraintChecks::default();
        self.retry.succeeded();
        self.throttle.set_page(self.retry.page());
        walk.counted = Counted::default();
        walk.watermark = end.position;
        walk.done = end.done;
        let commit_ms = millis(begun.elapsed());
        let last = walk.uncommitted.len().saturating_sub(1);
        for (n, mut batch) in walk.uncommitted.drain(..).enumerate() {
            // The commit of a whole slice is its last batch's.
            if n == last {
                batch.commit_ms = commit_ms;
                batch.elapsed_ms += commit_ms;
                if batch.batch_no > 0 {
                    self.commit_times.push((batch.batch_no, commit_ms));
                }
            }
            self.context.report(batch);
        }
        Ok(())
    }

    /// Writes what only becomes known after a commit; inside a unit of its own.
    ///
    /// # Errors
    /// [`Failure`] when the ledger cannot be written.
    pub fn record_commit_times(&mut self) -> Result<(), Failure> {
        ledger::record_commit_times(self.request.run_id, &std::mem::take(&mut self.commit_times))
    }

    /// Looks at the pipeline's row, inside the unit that is open, and treats the source as it says
    /// now; true when that has changed.
    ///
    /// # Errors
    /// 55000 when what the run takes as given has changed.
    fn apply_changes(&mut self) -> Result<bool, Failure> {
        let changed = self.watch.look()?;
        let readers = self.context.readers();
        let limits = self.watch.source_limits();
        // Those that are left when others have ended take over their share.
        if changed || readers != self.readers {
            self.readers = readers;
            self.throttle.set(limits.rate(readers), limits.pause_while.as_deref());
        }
        if changed {
            self.retry.set_retries(limits.retries, limits.retry_delay);
        }
        Ok(changed)
    }

    /// The same where the last look was a while ago, in the walk's unit or in one of its own.
    ///
    /// # Errors
    /// As [`Puller::apply_changes`].
    fn apply_changes_when_due(&mut self, walk: &SliceWalk) -> Result<bool, Failure> {
        match (self.watch.is_due(), &walk.unit) {
            (false, _) => Ok(false),
            (true, Some(_)) => self.apply_changes(),
            (true, None) => self.in_unit(Self::apply_changes),
        }
    }

    /// Runs `f` in a unit of its own; only where none is open.
    ///
    /// # Errors
    /// That of `f`, or of the commit; everything is rolled back then.
    fn in_unit<T>(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.context.begin().run(|| f(self))
    }
}
