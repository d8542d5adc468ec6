//! Pages read from the source and handed over, each with its room in memory.

use super::budget::{Budget, Reservation};
use super::chunk::{CHUNK_BYTES, ChunkBuilder, RawChunk};
use super::connect::Session;
use super::error::SourceError;
use super::sql::Parameters;
use super::throttle::{PageSize, RateLimiter};
use super::walk_request::{BatchEnd, StreamItem, WalkRequest};
use postgres::types::{FromSql, Type};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the source may be kept from finishing a page that is larger than thought.
const LONGEST_STALL: Duration = Duration::from_secs(5);
const ACTION: &str = "read a page of the source";

/// Takes what the reader hands over; false when nobody wants it any more.
pub(super) type HandOver<'a> = &'a mut dyn FnMut(StreamItem<RawChunk>) -> bool;

/// Reads the pages of a walk.
pub(super) struct PageReader<'a> {
    pub request: &'a WalkRequest,
    pub budget: &'a Arc<Budget>,
    pub session: Session,
    limiter: RateLimiter,
    hand_over: HandOver<'a>,
}

/// What a page was.
pub(super) struct PageRead {
    pub builder: ChunkBuilder,
    /// On the wire.
    pub bytes: u64,
}

impl<'a> PageReader<'a> {
    pub fn new(
        request: &'a WalkRequest,
        budget: &'a Arc<Budget>,
        session: Session,
        hand_over: HandOver<'a>,
    ) -> Self {
        PageReader { request, budget, session, limiter: RateLimiter::new(), hand_over }
    }

    /// Rows a batch.
    pub fn batch(&self) -> u64 {
        self.request.batch.rows()
    }

    /// What to ask for next, of a batch that lacks `rows`.
    pub fn page_size(&self, rows: u64) -> PageSize {
        // A fifth of the room is left for rows that are larger than those before.
        let room = self.budget.page() as u64 / 5 * 4;
        let throttle = &self.request.throttle;
        throttle.page(rows, room.max(throttle.far_page(self.session.round_trip())))
    }

    /// Waits while the pipeline asks for a pause, and until a page of `bytes` has room.
    ///
    /// # Errors
    /// [`SourceError`] when the source cannot be asked, or the reader is stopped.
    pub fn await_turn(&mut self, bytes: u64) -> Result<Reservation, SourceError> {
        self.request.throttle.wait_while_paused(&mut self.session, self.budget)?;
        let bytes = usize::try_from(bytes.saturating_add(bytes / 4)).unwrap_or(usize::MAX);
        self.budget.reserve(bytes.min(self.budget.page()))
    }

    /// Reads a page that has `room`, and hands its rows over.
    ///
    /// # Errors
    /// [`SourceError`] as met; what was handed over before is of no page that ended.
    pub fn read(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        mut builder: ChunkBuilder,
        mut room: Reservation,
    ) -> Result<PageRead, SourceError> {
        let failed = |e: postgres::Error| SourceError::from_client(ACTION, &e);
        let mut giver = Giver {
            request: self.request,
            budget: self.budget,
            limiter: &mut self.limiter,
            hand_over: self.hand_over,
            waited: Duration::ZERO,
        };
        let begun = Instant::now();
        // A page that fails says nothing good of the stage.
        self.request.throttle.note_pace(None);
        let mut bytes = 0;
        let mut rows = self.session.rows(sql, parameters).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            builder.push(values(&row))?;
            if builder.wire_bytes() >= CHUNK_BYTES {
                bytes += giver.give(builder.take(), &mut room)?;
            }
        }
        bytes += giver.give(builder.take(), &mut room)?;
        let (took, waited) = (begun.elapsed(), giver.waited);
        let keeps_up = waited < took / 10;
        let pace = bytes as f64 / (took - waited.min(took)).as_secs_f64().max(0.001);
        self.request.throttle.note_pace(keeps_up.then_some(pace as u64));
        Ok(PageRead { builder, bytes })
    }

    /// Reads a page into one chunk, for [`PageReader::give_whole`]; `None` where several rows are larger
    /// than a page may be.
    ///
    /// # Errors
    /// [`SourceError`] as met.
    pub fn collect(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        builder: &mut ChunkBuilder,
    ) -> Result<Option<RawChunk>, SourceError> {
        let failed = |e: postgres::Error| SourceError::from_client(ACTION, &e);
        let most = self.budget.page();
        let mut room = self.await_turn(most as u64)?;
        let mut rows = self.session.rows(sql, parameters).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            builder.push(values(&row))?;
            // One row passes, however large.
            if builder.wire_bytes() > most && builder.rows() > 1 {
                return Ok(None);
            }
        }
        let mut chunk = builder.take();
        chunk.permit = Some(room.take(chunk.wire_bytes, LONGEST_STALL)?);
        Ok(Some(chunk))
    }

    /// Adds the rows of a query that is asked once to what `builder` has, for [`PageReader::give_held`].
    ///
    /// # Errors
    /// [`SourceError`] as met.
    pub fn fetch(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        builder: &mut ChunkBuilder,
    ) -> Result<(), SourceError> {
        let failed = |e: postgres::Error| SourceError::from_client(ACTION, &e);
        self.budget.check_stop()?;
        let mut rows = self.session.rows_once(sql, parameters).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            builder.push(values(&row))?;
        }
        Ok(())
    }

    /// Hands a chunk over once it has room; returns its bytes on the wire.
    ///
    /// # Errors
    /// As [`PageReader::give_whole`].
    pub fn give_held(&mut self, mut chunk: RawChunk) -> Result<u64, SourceError> {
        let bytes = chunk.wire_bytes;
        let mut room = self.await_turn(bytes as u64)?;
        chunk.permit = Some(room.take(bytes, Duration::MAX)?);
        self.give_whole(chunk)?;
        Ok(bytes as u64)
    }

    /// Hands a chunk over that has its room.
    ///
    /// # Errors
    /// When nobody wants it any more.
    pub fn give_whole(&mut self, chunk: RawChunk) -> Result<(), SourceError> {
        self.limiter.keep(chunk.wire_bytes as u64, &self.request.throttle, self.budget)?;
        if !chunk.rows.is_empty() && !(self.hand_over)(StreamItem::Rows(chunk)) {
            return Err(unwanted());
        }
        Ok(())
    }

    /// Hands over where a batch ends; false when nobody wants it any more.
    pub fn end_batch(&mut self, end: BatchEnd) -> bool {
        (self.hand_over)(StreamItem::BatchEnd(end))
    }
}

/// Hands chunks over, as fast as the throttle allows and memory has room.
struct Giver<'a> {
    request: &'a WalkRequest,
    budget: &'a Arc<Budget>,
    limiter: &'a mut RateLimiter,
    hand_over: &'a mut dyn FnMut(StreamItem<RawChunk>) -> bool,
    /// For room, and for whoever takes the rows.
    waited: Duration,
}

impl Giver<'_> {
    /// Returns what the chunk came to on the wire.
    fn give(&mut self, mut chunk: RawChunk, room: &mut Reservation) -> Result<u64, SourceError> {
        if chunk.rows.is_empty() {
            return Ok(0);
        }
        self.budget.check_stop()?;
        let bytes = chunk.wire_bytes;
        self.limiter.keep(bytes as u64, &self.request.throttle, self.budget)?;
        let longest_stall = match self.request.throttle.is_least() {
            true => Duration::MAX,
            // Of a page: the source holds a snapshot for all of it.
            false => LONGEST_STALL
                .min(self.request.connect.limits.statement / 2)
                .saturating_sub(self.waited),
        };
        let begun = Instant::now();
        chunk.permit = Some(room.take(bytes, longest_stall)?);
        let wanted = (self.hand_over)(StreamItem::Rows(chunk));
        self.waited += begun.elapsed();
        if wanted { Ok(bytes as u64) } else { Err(unwanted()) }
    }
}

fn unwanted() -> SourceError {
    SourceError::permanent("read the source", "57014", "the rows are no longer wanted")
}

/// The values of a row as they were sent.
fn values(row: &postgres::Row) -> impl Iterator<Item = Option<&[u8]>> {
    // Whatever the type, its bytes are taken: no value fails.
    (0..row.len()).map(|n| row.try_get::<_, Option<Sent<'_>>>(n).ok().flatten().map(|sent| sent.0))
}

/// A value as it was sent.
struct Sent<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Sent<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Sent(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
