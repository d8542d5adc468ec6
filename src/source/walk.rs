//! The reader: walks an interval page by page and hands over raw rows, ahead of whoever takes them
//! but never by more than the memory budget.

use super::connect::{Canceller, Session};
use super::copy::{CHUNK_BYTES, ChunkBuilder, RawChunk};
use super::describe::WalkTable;
use super::error::SourceError;
use super::keyset::{Cursor, PageSummary};
use super::options::ConnectSpec;
use super::throttle::{Pace, Throttle};
use crate::slice::{Edge, Interval, Key};
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the reader is to do; travels to its thread.
#[derive(Clone, Debug)]
pub struct WalkRequest {
    pub connect: ConnectSpec,
    pub application_name: String,
    pub table: WalkTable,
    pub interval: Interval,
    /// Rows a batch; a batch ends with the key that holds its last row.
    pub batch: u64,
    /// The partition that was to hold the interval when the walk was planned.
    pub partition: String,
    pub throttle: Arc<Throttle>,
}

/// What the reader hands over, in the order of the walk.
#[derive(Debug)]
pub enum Piece {
    Rows(RawChunk),
    BatchEnd(BatchEnd),
}

/// Where a batch ends. Passes from the reader to whoever commits it as it is.
#[derive(Clone, Copy, Debug)]
pub struct BatchEnd {
    /// Everything up to here has been handed over.
    pub position: Edge,
    /// The key of the batch's last row, if it has any.
    pub last: Option<Key>,
    /// Whether this is the interval's end.
    pub done: bool,
}

/// What the reader is doing, for whoever watches the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Doing {
    Connecting = 0,
    Reading = 1,
    Paused = 2,
    Throttled = 3,
    /// Waiting for memory: the stage is slower than the source.
    Full = 4,
}

/// Bytes that may be in memory between the reader and the end of the load.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: Mutex<usize>,
    freed: Condvar,
    stop: AtomicBool,
    doing: AtomicU8,
    /// Microseconds that the reader was held back on purpose: paused, or by the rate limit.
    held_back: AtomicU64,
    canceller: Mutex<Option<Canceller>>,
}

/// A share of the [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(self.bytes);
        self.budget.freed.notify_all();
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canceller")
    }
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Budget {
            limit,
            used: Mutex::new(0),
            freed: Condvar::new(),
            stop: AtomicBool::new(false),
            doing: AtomicU8::new(Doing::Connecting as u8),
            held_back: AtomicU64::new(0),
            canceller: Mutex::new(None),
        })
    }

    /// Waits until `bytes` fit, or nothing else is in memory: one statement always passes.
    fn acquire(self: &Arc<Self>, bytes: usize) -> Result<Permit, SourceError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && *used + bytes > self.limit {
            self.check_stop()?;
            self.now(Doing::Full);
            used = self
                .freed
                .wait_timeout(used, Duration::from_millis(200))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *used += bytes;
        self.now(Doing::Reading);
        Ok(Permit { budget: self.clone(), bytes })
    }

    /// What the reader is doing now.
    pub fn doing(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            0 => Doing::Connecting,
            2 => Doing::Paused,
            3 => Doing::Throttled,
            4 => Doing::Full,
            _ => Doing::Reading,
        }
    }

    pub(super) fn now(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    /// Asks the reader to end: it stops waiting at once; the statement it runs on the source is
    /// cancelled by the [`Canceller`] that this returns.
    pub fn stop(&self) -> Option<Canceller> {
        self.stop.store(true, Ordering::SeqCst);
        self.freed.notify_all();
        self.canceller.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check_stop(&self) -> Result<(), SourceError> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(SourceError::permanent("read the source", "57014", "stopped"));
        }
        Ok(())
    }

    /// How long the reader was held back on purpose so far: paused, or by the rate limit.
    pub fn held_back(&self) -> Duration {
        Duration::from_micros(self.held_back.load(Ordering::Relaxed))
    }

    /// Holds the reader back for that time, unless stopped; less when it is `over` before.
    pub(super) fn sleep(&self, time: Duration, over: impl Fn() -> bool) -> Result<(), SourceError> {
        let begun = Instant::now();
        let mut now = begun;
        while let Some(left) = time.checked_sub(now - begun)
            && !left.is_zero()
            && !over()
        {
            self.check_stop()?;
            // Short, so that whoever watches `held_back` is never far behind.
            std::thread::sleep(left.min(Duration::from_millis(20)));
            let before = std::mem::replace(&mut now, Instant::now());
            let slept = u64::try_from((now - before).as_micros()).unwrap_or(0);
            self.held_back.fetch_add(slept, Ordering::Relaxed);
        }
        self.check_stop()
    }
}

/// Where a worker keeps its session between two slices.
pub type Parking = Arc<Mutex<Option<Session>>>;

/// Walks `request.interval` to its end, giving each piece to `hand_over`, which returns false when
/// nobody takes them any more. The session comes from `parking` where one is there, and goes back
/// when the walk came to its end.
///
/// # Errors
/// [`SourceError`] as met; everything handed over before the last [`Piece::BatchEnd`] is whole.
pub fn walk(
    request: &WalkRequest,
    budget: &Arc<Budget>,
    parking: &Parking,
    mut hand_over: impl FnMut(Piece) -> bool,
) -> Result<(), SourceError> {
    let parked = parking.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut session = match parked.filter(|session| !session.is_closed()) {
        Some(session) => session,
        None => Session::open(&request.connect, &request.application_name)?,
    };
    *budget.canceller.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.canceller());
    budget.check_stop()?;
    budget.now(Doing::Reading);
    let mut cursor = Cursor::new(request.interval);
    let mut pace = Pace::new();
    // A guess until the first page has come.
    let mut bytes_a_row = 4_096;
    loop {
        let (mut rows, mut last) = (0, None);
        while rows < request.batch && !cursor.is_done() {
            request.throttle.wait_while_paused(&mut session, budget)?;
            let limit = request.throttle.page(bytes_a_row).min(request.batch - rows);
            let page = cursor.next_page(&request.table, limit, request.batch);
            let mut reader = PageReader { request, budget, pace: &mut pace, bytes: 0 };
            let summary = reader.read(&mut session, &page.sql, &mut hand_over)?;
            bytes_a_row = reader.bytes.checked_div(summary.rows).unwrap_or(bytes_a_row);
            cursor.advance(&page, &summary);
            rows += summary.rows;
            last = summary.last.or(last);
        }
        let end = BatchEnd { position: cursor.position(), last, done: cursor.is_done() };
        if end.done {
            request.table.check_still_holds(&mut session, &request.partition)?;
            // Before the last word: whoever hears it may start the next walk at once.
            *budget.canceller.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *parking.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            hand_over(Piece::BatchEnd(end));
            return Ok(());
        }
        if !hand_over(Piece::BatchEnd(end)) {
            return Ok(());
        }
    }
}

struct PageReader<'a> {
    request: &'a WalkRequest,
    budget: &'a Arc<Budget>,
    pace: &'a mut Pace,
    /// What came of the page.
    bytes: u64,
}

impl PageReader<'_> {
    fn read(
        &mut self,
        session: &mut Session,
        sql: &str,
        hand_over: &mut impl FnMut(Piece) -> bool,
    ) -> Result<PageSummary, SourceError> {
        let action = "read a page of the source";
        let columns = 3 + self.request.table.extra.len();
        let mut builder = ChunkBuilder::new(self.request.table.statement_kind, columns);
        let mut stream = session
            .client
            .copy_out(&format!("copy ({sql}) to stdout (format binary)"))
            .map_err(|e| SourceError::from_client(action, &e))?;
        loop {
            let message = stream.fill_buf().map_err(|e| SourceError::from_stream(action, &e))?;
            if message.is_empty() {
                break;
            }
            let length = message.len();
            builder.push(message)?;
            stream.consume(length);
            if builder.len() >= CHUNK_BYTES {
                self.give(&mut builder, hand_over)?;
            }
        }
        builder.finish()?;
        self.give(&mut builder, hand_over)?;
        Ok(PageSummary {
            rows: builder.rows(),
            last: builder.last_key()?,
            last_ties: builder.last_ties(),
        })
    }

    fn give(
        &mut self,
        builder: &mut ChunkBuilder,
        hand_over: &mut impl FnMut(Piece) -> bool,
    ) -> Result<(), SourceError> {
        let mut chunk = builder.take();
        if chunk.rows.is_empty() {
            return Ok(());
        }
        self.budget.check_stop()?;
        let bytes = chunk.bytes.len();
        self.bytes += bytes as u64;
        self.pace.keep(bytes as u64, &self.request.throttle, self.budget)?;
        chunk.permit = Some(self.budget.acquire(bytes)?);
        if hand_over(Piece::Rows(chunk)) {
            Ok(())
        } else {
            Err(SourceError::permanent("read the source", "57014", "nobody takes the rows"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_oversized_statement_passes_an_empty_budget() {
        let budget = Budget::new(10);
        let permit = budget.acquire(1_000).unwrap();
        drop(permit);
        assert_eq!(*budget.used.lock().unwrap(), 0);
    }

    #[test]
    fn a_full_budget_ends_its_wait_when_stopped() {
        let budget = Budget::new(10);
        let _held = budget.acquire(10).unwrap();
        budget.stop();
        assert!(budget.acquire(1).is_err());
    }
}
