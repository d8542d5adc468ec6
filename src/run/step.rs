//! A slice pulled: stream to loader to ledger, batch after batch.

use super::pacing::Pacing;
use super::pipeline_watch::Watch;
use super::place::{Phase, Place};
use super::recover::Broken;
use super::report::{BatchReport, millis};
use super::request::{CommitMode, Request, SliceRequest};
use super::stream::{Event, Stream, Waited};
use crate::backend::latch::POLL_INTERVAL;
use crate::backend::transaction::{Unit, catching};
use crate::error::Failure;
use crate::ledger::{self, BatchEntry};
use crate::load::Loader;
use crate::slice::{Edge, Interval};
use crate::source::{BatchEnd, Parking, Throttle, WalkRequest};
use crate::transform::Recipe;
use pgrx::Spi;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows are inserted when they come to this, while the cache still has them (benches/README.md); a
/// usual batch stays below the 64 subtransactions that a snapshot keeps in sight.
const FLUSH_BYTES: usize = 2 << 20;

/// What a worker takes besides rows: the server's caches, the threads' tables, heap that is kept.
const BESIDES_ROWS: usize = 12 << 20;

/// How much may come over the wire ahead of the load in a worker of so much memory: it is there up
/// to three times, as it came, as values made of it, and in the batch.
fn in_flight(worker_memory: usize) -> usize {
    worker_memory.saturating_sub(BESIDES_ROWS).max(worker_memory / 2) / 3
}

/// Pulls slices, one after the other.
pub struct Puller<P: Place> {
    pub place: P,
    pub(super) request: Arc<Request>,
    recipe: Arc<Recipe>,
    loader: Option<Loader>,
    pub(super) pacing: Pacing,
    pub(super) watch: Watch,
    pub(super) throttle: Arc<Throttle>,
    /// Among how many the throttle's rate is shared.
    pub(super) readers: u32,
    /// The session of the slice before.
    parking: Parking,
    /// A batch number that a failed attempt left unused.
    number: Option<i32>,
    /// Commits whose time the ledger does not know yet.
    commit_times: Vec<(i32, f64)>,
    pub(super) checks: Checks,
}

/// When the target's deferred constraints are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Checks {
    /// As they are: at commit, where it is too late to find the row that breaks one.
    #[default]
    AsDeclared,
    /// The same, and the commit is under way.
    Committing,
    /// In each INSERT, after a commit that met a row of that kind: it is found, and set aside.
    AtOnce,
}

impl Checks {
    fn committing(&mut self) {
        if *self == Checks::AsDeclared {
            *self = Checks::Committing;
        }
    }
}

/// A walk over what is left of one slice.
pub struct Walk {
    pub(super) slice: SliceRequest,
    /// Everything before it is committed (or, in the caller's transaction, loaded).
    pub(super) watermark: Edge,
    stream: Option<Stream>,
    unit: Option<Unit>,
    tally: Tally,
    /// Batches that commit with their slice.
    uncommitted: Vec<BatchReport>,
    done: bool,
}

/// What a batch has come to so far.
struct Tally {
    begun: Instant,
    waited_before: Waited,
    rows: i64,
    bytes: i64,
    rejected: i64,
    fallbacks: u64,
    convert: Duration,
    insert: Duration,
}

impl Tally {
    fn new(waited_before: Waited) -> Self {
        Tally {
            begun: Instant::now(),
            waited_before,
            rows: 0,
            bytes: 0,
            rejected: 0,
            fallbacks: 0,
            convert: Duration::ZERO,
            insert: Duration::ZERO,
        }
    }
}

impl Walk {
    pub fn new(slice: SliceRequest) -> Self {
        let watermark = slice.interval.from;
        Walk {
            slice,
            watermark,
            stream: None,
            unit: None,
            tally: Tally::new(Waited::default()),
            uncommitted: Vec::new(),
            done: false,
        }
    }

    pub fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn has_unit(&self) -> bool {
        self.unit.is_some()
    }
}

impl<P: Place> Puller<P> {
    pub fn new(place: P, request: Arc<Request>) -> Self {
        let batch = u64::try_from(request.batch).unwrap_or(1);
        let care = &request.care;
        let readers = place.readers();
        Puller {
            place,
            recipe: Arc::new(request.recipe.clone()),
            pacing: Pacing::new(care.retries, care.retry_delay, batch),
            watch: Watch::new(&request),
            throttle: Throttle::new(care.rate(readers), care.pause_while.as_deref()),
            readers,
            request,
            parking: Parking::default(),
            loader: None,
            number: None,
            commit_times: Vec::new(),
            checks: Checks::default(),
        }
    }

    /// Pulls one more batch of the walk, through whatever passes.
    ///
    /// # Errors
    /// [`Failure`] when trying again is of no use; everything committed stays.
    pub fn advance(&mut self, walk: &mut Walk) -> Result<(), Failure> {
        loop {
            let broken = match catching(|| Ok(self.next_batch(walk))) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(broken)) => broken,
                Err(failure) => Broken::Stage(failure),
            };
            // First the reader, so that the source is free while the stage rolls back.
            walk.stream = None;
            walk.uncommitted.clear();
            if let Some(loader) = &mut self.loader {
                loader.discard();
            }
            if let Some(unit) = walk.unit.take() {
                unit.roll_back();
            }
            catching(|| self.recover(walk, broken))?;
        }
    }

    fn start(&self, walk: &Walk) -> Result<Stream, Failure> {
        let request = &self.request;
        self.throttle.set_page(self.pacing.page());
        let reading = WalkRequest {
            connect: request.connect.clone(),
            application_name: request.application_name(self.place.worker()),
            table: request.table.clone(),
            interval: Interval::new(walk.watermark, walk.slice.interval.to),
            batch: u64::try_from(request.batch).unwrap_or(1),
            partition: walk.slice.partition.clone(),
            throttle: self.throttle.clone(),
        };
        let in_flight = in_flight(request.worker_memory);
        let threads = request.transform_threads;
        Stream::start(reading, &self.recipe, &self.parking, in_flight, threads)
    }

    /// Loads rows until a batch is at its end, and records it.
    fn next_batch(&mut self, walk: &mut Walk) -> Result<(), Broken> {
        let mut stream = match walk.stream.take() {
            Some(stream) => stream,
            None => {
                walk.tally = Tally::new(Waited::default());
                self.start(walk)?
            }
        };
        loop {
            self.place.look_around()?;
            self.heed_now_and_then(walk)?;
            match stream.poll()? {
                Some(Event::Rows(rows)) => {
                    self.open_unit(walk)?;
                    walk.tally.bytes += rows.raw.bytes.len() as i64;
                    if let Some(loader) = &mut self.loader {
                        loader.push(rows);
                        if loader.pending_bytes() >= FLUSH_BYTES {
                            self.flush(walk)?;
                        }
                    }
                }
                Some(Event::BatchEnd(end)) => {
                    self.end_batch(walk, stream.waited, end)?;
                    if !end.done {
                        walk.stream = Some(stream);
                    }
                    return Ok(());
                }
                None if stream.is_starved() && self.has_pending() => self.flush(walk)?,
                None => {
                    let retrying = self.pacing.attempt() > 0;
                    let phase = Phase::of(stream.doing(), stream.is_transforming(), retrying);
                    self.place.announce(&walk.slice, phase);
                    stream.wait(POLL_INTERVAL)?;
                }
            }
        }
    }

    fn has_pending(&self) -> bool {
        self.loader.as_ref().is_some_and(|loader| loader.pending_bytes() > 0)
    }

    /// Opens the unit of work that the next rows belong to.
    fn open_unit(&mut self, walk: &mut Walk) -> Result<(), Failure> {
        if walk.unit.is_none() {
            walk.unit = Some(self.place.begin());
            if self.checks == Checks::AtOnce {
                Spi::run("set constraints all immediate")?;
            }
        }
        if self.loader.is_none() {
            self.loader = Some(Loader::new(&self.request.target, self.request.recipe.clone())?);
        }
        Ok(())
    }

    fn flush(&mut self, walk: &mut Walk) -> Result<(), Failure> {
        self.place.announce(&walk.slice, Phase::Insert);
        if let Some(loader) = &mut self.loader {
            let loaded = loader.flush()?;
            walk.tally.rows += i64::try_from(loaded.rows).unwrap_or(i64::MAX);
            walk.tally.rejected += loaded.rejects.len() as i64;
            walk.tally.fallbacks += loaded.fallbacks;
            walk.tally.convert += loaded.convert;
            walk.tally.insert += loaded.insert;
            // At once, so that they take no memory until the batch ends.
            let (run_id, number) = (self.request.run_id, self.number());
            ledger::record_rejects(run_id, number, &self.request.pipeline, &loaded.rejects)?;
        }
        Ok(())
    }

    /// The number of the batch in the making.
    fn number(&mut self) -> i32 {
        *self.number.get_or_insert_with(|| self.place.number_batch())
    }

    /// Writes the checkpoint and commits where a boundary is.
    fn end_batch(&mut self, walk: &mut Walk, waited: Waited, end: BatchEnd) -> Result<(), Failure> {
        self.open_unit(walk)?;
        if self.has_pending() {
            self.flush(walk)?;
        }
        let tally = std::mem::replace(&mut walk.tally, Tally::new(waited));
        let waited = waited.since(tally.waited_before);
        let mut report = BatchReport {
            slice_no: walk.slice.slice_no,
            rows: tally.rows,
            rejected: tally.rejected,
            bytes: tally.bytes,
            slice_done: end.done,
            source_wait_ms: millis(waited.source),
            transform_ms: millis(waited.transform + tally.convert),
            insert_ms: millis(tally.insert),
            lock_ms: millis(self.place.take_lock_time()),
            throttle_ms: millis(waited.throttle),
            ..BatchReport::default()
        };
        report.set_last(end.last);
        self.heed()?;
        self.note_commit_times()?;
        if end.last.is_some() {
            report.batch_no = self.number();
            report.elapsed_ms = millis(tally.begun.elapsed());
            self.record(walk, &report, end, &tally)?;
        } else if end.done {
            ledger::close_slice(self.request.run_id, walk.slice.slice_no, end.position)?;
        }
        self.number = None;
        walk.uncommitted.push(report);
        if end.done || self.request.commit != CommitMode::Slice {
            self.commit(walk, end)?;
        }
        Ok(())
    }

    fn record(
        &self,
        walk: &Walk,
        report: &BatchReport,
        end: BatchEnd,
        tally: &Tally,
    ) -> Result<(), Failure> {
        let entry = BatchEntry {
            run_id: self.request.run_id,
            batch_no: report.batch_no,
            slice_no: report.slice_no,
            worker: self.place.worker(),
            partition: &walk.slice.partition,
            rows: report.rows,
            rejected: report.rejected,
            bytes: report.bytes,
            fallbacks: i64::try_from(tally.fallbacks).unwrap_or(i64::MAX),
            last: end.last,
            source_wait_ms: report.source_wait_ms,
            transform_ms: report.transform_ms,
            insert_ms: report.insert_ms,
            lock_ms: report.lock_ms,
            throttle_ms: report.throttle_ms,
            elapsed_ms: report.elapsed_ms,
            watermark: end.position,
            slice_done: report.slice_done,
        };
        ledger::record_batch(&entry)
    }

    fn commit(&mut self, walk: &mut Walk, end: BatchEnd) -> Result<(), Failure> {
        self.place.announce(&walk.slice, Phase::Commit);
        let begun = Instant::now();
        if let Some(unit) = walk.unit.take() {
            self.checks.committing();
            unit.commit()?;
        }
        // Only now: with commit => 'slice', batches before this came to nothing where it failed.
        self.checks = Checks::default();
        self.pacing.succeeded();
        self.throttle.set_page(self.pacing.page());
        walk.watermark = end.position;
        walk.done = end.done;
        let commit_ms = millis(begun.elapsed());
        let last = walk.uncommitted.len().saturating_sub(1);
        for (n, mut report) in walk.uncommitted.drain(..).enumerate() {
            // The commit of a whole slice is its last batch's.
            if n == last {
                report.commit_ms = commit_ms;
                report.elapsed_ms += commit_ms;
                if report.batch_no > 0 {
                    self.commit_times.push((report.batch_no, commit_ms));
                }
            }
            self.place.report(report);
        }
        Ok(())
    }

    /// Writes what only becomes known after a commit; inside a unit of its own.
    ///
    /// # Errors
    /// [`Failure`] when the ledger cannot be written.
    pub fn note_commit_times(&mut self) -> Result<(), Failure> {
        let times = std::mem::take(&mut self.commit_times);
        ledger::note_commit_times(self.request.run_id, &times)
    }
}
