//! The reader: walks an interval page by page and hands over raw rows, ahead of the load
//! but never by more than the memory budget.

use super::batch_size::BatchSize;
use super::budget::{Budget, Doing};
use super::connect::Session;
use super::copy::{CHUNK_BYTES, ChunkBuilder, RawChunk};
use super::describe::WalkTable;
use super::error::SourceError;
use super::keyset::{Cursor, PageSummary};
use super::options::ConnectSpec;
use super::throttle::{RateLimiter, Throttle};
use crate::slice::{Edge, Interval, Key};
use std::io::BufRead;
use std::sync::{Arc, Mutex, PoisonError};

/// What the reader is to do; travels to its thread.
#[derive(Clone, Debug)]
pub struct WalkRequest {
    pub connect: ConnectSpec,
    pub application_name: String,
    pub table: WalkTable,
    pub interval: Interval,
    pub batch: BatchSize,
    /// The partition that was to hold the interval when the walk was planned.
    pub partition: String,
    pub throttle: Arc<Throttle>,
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
    pub position: Edge,
    /// The key of the batch's last row, if it has any.
    pub last: Option<Key>,
    /// Whether this is the interval's end.
    pub done: bool,
}

/// Where a worker keeps its session between two slices.
pub type Parking = Arc<Mutex<Option<Session>>>;

/// Walks `request.interval` to its end, giving each item to `hand_over`, which returns false when
/// nobody takes them any more. The session comes from `parking` where one is there, and goes back
/// when the walk came to its end.
///
/// # Errors
/// [`SourceError`] as met; everything handed over before the last [`StreamItem::BatchEnd`] is whole.
pub fn walk(
    request: &WalkRequest,
    budget: &Arc<Budget>,
    parking: &Parking,
    mut hand_over: impl FnMut(StreamItem<RawChunk>) -> bool,
) -> Result<(), SourceError> {
    let parked = parking.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut session = match parked.filter(|session| !session.is_closed()) {
        Some(session) => session,
        None => Session::open(&request.connect, &request.application_name)?,
    };
    budget.hold_canceller(Some(session.canceller()));
    budget.check_stop()?;
    budget.now(Doing::Reading);
    let batch = request.batch.rows();
    let mut cursor = Cursor::new(request.interval);
    let mut limiter = RateLimiter::new();
    // A guess until the first page has come.
    let mut bytes_a_row = 4_096;
    loop {
        let (mut rows, mut last) = (0, None);
        while rows < batch && !cursor.is_done() {
            request.throttle.wait_while_paused(&mut session, budget)?;
            let limit = request.throttle.page(bytes_a_row).min(batch - rows);
            let page = cursor.next_page(&request.table, limit, batch);
            let mut reader = PageReader { request, budget, limiter: &mut limiter, bytes: 0 };
            let summary = reader.read(&mut session, &page.sql, &mut hand_over)?;
            bytes_a_row = reader.bytes.checked_div(summary.rows).unwrap_or(bytes_a_row);
            cursor.advance(&page, &summary);
            rows += summary.rows;
            last = summary.last.or(last);
        }
        let end = BatchEnd { position: cursor.position(), last, done: cursor.is_done() };
        if end.done {
            request.table.check_still_holds(&mut session, &request.partition)?;
            // Before the last item: the puller that gets it may start the next walk at once.
            budget.hold_canceller(None);
            *parking.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            hand_over(StreamItem::BatchEnd(end));
            return Ok(());
        }
        if !hand_over(StreamItem::BatchEnd(end)) {
            return Ok(());
        }
    }
}

struct PageReader<'a> {
    request: &'a WalkRequest,
    budget: &'a Arc<Budget>,
    limiter: &'a mut RateLimiter,
    /// What came of the page.
    bytes: u64,
}

impl PageReader<'_> {
    fn read(
        &mut self,
        session: &mut Session,
        sql: &str,
        hand_over: &mut impl FnMut(StreamItem<RawChunk>) -> bool,
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
        hand_over: &mut impl FnMut(StreamItem<RawChunk>) -> bool,
    ) -> Result<(), SourceError> {
        let mut chunk = builder.take();
        if chunk.rows.is_empty() {
            return Ok(());
        }
        self.budget.check_stop()?;
        let bytes = chunk.bytes.len();
        self.bytes += bytes as u64;
        self.limiter.keep(bytes as u64, &self.request.throttle, self.budget)?;
        chunk.permit = Some(self.budget.acquire(bytes)?);
        if hand_over(StreamItem::Rows(chunk)) {
            Ok(())
        } else {
            Err(SourceError::permanent("read the source", "57014", "the rows are no longer wanted"))
        }
    }
}
