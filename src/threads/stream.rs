//! The source as a stream of finished rows: a reader thread, transform threads, and the bounded
//! channels between them and the main thread.

use super::cancel::{CANCEL_TIMEOUT, cancel, stop_at_exit};
use super::count::spawn_asking;
use super::spawn::spawn_quiet;
use crate::backend::latch::{self, Waker};
use crate::error::Failure;
use crate::source::{
    Budget, CHUNK_BYTES, Doing, Limits, Parking, RawChunk, SourceError, StreamItem, WalkRequest,
    walk,
};
use crate::transform::{BoundMapping, FinishedRows};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the main thread waited, and for whom.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waited {
    pub source: Duration,
    pub transform: Duration,
    /// For a source that was held back on purpose: `pause_while`, `max_bytes_per_second`.
    pub throttle: Duration,
}

impl Waited {
    /// What came after `earlier`.
    pub fn since(self, earlier: Waited) -> Waited {
        Waited {
            source: self.source.saturating_sub(earlier.source),
            transform: self.transform.saturating_sub(earlier.transform),
            throttle: self.throttle.saturating_sub(earlier.throttle),
        }
    }
}

/// What passes a channel, in the order of the walk; a failure is its last.
type Passed<R> = Result<StreamItem<R>, SourceError>;

/// Items that wait in a channel besides the chunks that the memory budget allows: it bounds them before
/// this does, so that no page is held up half read.
const CHANNEL: usize = 32;

/// A walk under way.
pub struct Stream {
    budget: Arc<Budget>,
    waker: Waker,
    /// One a transform thread; the items go round.
    lanes: Vec<Receiver<Passed<Box<FinishedRows>>>>,
    next: usize,
    in_transform: Arc<AtomicUsize>,
    reader: Option<JoinHandle<()>>,
    limits: Limits,
    last_sign: Instant,
    pub waited: Waited,
}

impl Stream {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no thread or file descriptor left.
    pub fn start(
        request: WalkRequest,
        mapping: &Arc<BoundMapping>,
        parking: &Parking,
        memory: usize,
        threads: usize,
    ) -> Result<Stream, Failure> {
        let waker = Waker::new()?;
        let budget = Budget::new(memory);
        stop_at_exit(&budget);
        let in_transform = Arc::new(AtomicUsize::new(0));
        let mut inputs = Vec::new();
        let mut lanes = Vec::new();
        let channel = CHANNEL + memory / CHUNK_BYTES;
        for _ in 0..threads.max(1) {
            let (input, raw) = sync_channel(channel);
            let (output, made) = sync_channel(channel);
            inputs.push(input);
            lanes.push(made);
            let (mapping, waker, busy) = (mapping.clone(), waker.clone(), in_transform.clone());
            spawn_quiet("lrs transform", move || {
                transform(&raw, &output, &mapping, &waker, &busy)
            })?;
        }
        let limits = request.connect.limits;
        let (busy, wake) = (in_transform.clone(), waker.clone());
        let (for_reader, parked) = (budget.clone(), parking.clone());
        let reader = spawn_asking("lrs reader", move || {
            read(&request, &for_reader, &parked, &inputs, &busy, &wake);
        })?;
        Ok(Stream {
            budget,
            waker,
            lanes,
            next: 0,
            in_transform,
            reader: Some(reader),
            limits,
            last_sign: Instant::now(),
            waited: Waited::default(),
        })
    }

    /// The next item, if it is there.
    ///
    /// # Errors
    /// [`SourceError`] when the reader failed, or died.
    pub fn poll(&mut self) -> Result<Option<StreamItem<Box<FinishedRows>>>, SourceError> {
        let made = match self.lanes[self.next].try_recv() {
            Ok(made) => made,
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => {
                return Err(SourceError::permanent("read the source", "XX000", "the reader died"));
            }
        };
        self.last_sign = Instant::now();
        self.next = (self.next + 1) % self.lanes.len();
        made.map(Some)
    }

    /// Whether the reader waits for memory that only a flush gives back.
    pub fn is_starved(&self) -> bool {
        self.budget.doing() == Doing::Full
    }

    /// What the reader is doing.
    pub fn doing(&self) -> Doing {
        self.budget.doing()
    }

    /// Whether values are being made.
    pub fn is_transforming(&self) -> bool {
        self.in_transform.load(Ordering::Relaxed) > 0
    }

    /// Waits for the next item, at most `timeout`; interrupts come through as errors.
    ///
    /// # Errors
    /// [`SourceError`] when the source has been silent for longer than its own limits allow: the
    /// network may be gone without a word.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), SourceError> {
        let begun = Instant::now();
        let busy = self.is_transforming();
        let held_before = self.budget.held_back();
        latch::wait(Some(&self.waker), timeout);
        let whole = begun.elapsed();
        let held = self.budget.held_back().saturating_sub(held_before).min(whole);
        self.waited.throttle += held;
        let waited = whole - held;
        if busy {
            self.waited.transform += waited;
        } else {
            self.waited.source += waited;
        }
        let silent = self.last_sign.elapsed();
        let (limit, action) = match self.budget.doing() {
            Doing::Connecting => (self.limits.until_connected(), "connect to the source"),
            Doing::Reading => (self.limits.until_answered(), "read a page of the source"),
            Doing::Asking => (self.limits.until_answered(), "ask the source whether to pause"),
            Doing::Paused | Doing::Throttled | Doing::Full => {
                self.last_sign = Instant::now();
                return Ok(());
            }
        };
        if silent > limit && !busy {
            return Err(SourceError::transient(
                action,
                "08006",
                format!("no answer for {} s", silent.as_secs()),
            ));
        }
        Ok(())
    }
}

impl Drop for Stream {
    /// Stops the reader and what it runs on the source. Bounded: a source that hangs must not
    /// hold the backend, so a thread that does not end in time is left to its own end.
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let canceller = self.budget.stop();
        self.lanes.clear();
        if reader.is_finished() {
            return;
        }
        cancel(canceller.into_iter().collect(), Duration::ZERO);
        let deadline = Instant::now() + CANCEL_TIMEOUT;
        while !reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The reader thread: the walk, dealt out to the transform threads in turn.
fn read(
    request: &WalkRequest,
    budget: &Arc<Budget>,
    parking: &Parking,
    lanes: &[SyncSender<Passed<RawChunk>>],
    in_transform: &AtomicUsize,
    waker: &Waker,
) {
    let mut turn = 0;
    let mut deal = |raw: Passed<RawChunk>| {
        in_transform.fetch_add(1, Ordering::Relaxed);
        let taken = lanes[turn].send(raw).is_ok();
        turn = (turn + 1) % lanes.len();
        taken
    };
    if let Err(error) = walk(request, budget, parking, &mut |item| deal(Ok(item))) {
        deal(Err(error));
    }
    waker.wake();
}

/// A transform thread.
fn transform(
    input: &Receiver<Passed<RawChunk>>,
    output: &SyncSender<Passed<Box<FinishedRows>>>,
    mapping: &BoundMapping,
    waker: &Waker,
    in_transform: &AtomicUsize,
) {
    let mut state = mapping.state();
    for raw in input {
        let made = raw.map(|item| match item {
            StreamItem::Rows(chunk) => StreamItem::Rows(Box::new(mapping.apply(chunk, &mut state))),
            StreamItem::BatchEnd(end) => StreamItem::BatchEnd(end),
        });
        in_transform.fetch_sub(1, Ordering::Relaxed);
        if output.send(made).is_err() {
            return;
        }
        waker.wake();
    }
    waker.wake();
}
