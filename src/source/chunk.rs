//! The rows of a page as they came, collected into chunks.
//!
//! The values are in binary, as the send functions of their types write them:
//! `src/backend/utils/adt/timestamp.c`, `int8.c`, `jsonb.c`.

use super::budget::Permit;
use super::describe::StatementKind;
use super::error::SourceError;
use crate::slice::Key;
use chrono::{DateTime, Utc};
use std::ops::Range;

/// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
const ACTION: &str = "read a page of the source";

/// Rows are handed over in chunks of about this size: large enough that a hand-over costs nothing,
/// small enough that many are in flight within the memory budget.
pub const CHUNK_BYTES: usize = 1 << 20;

/// What the protocol adds to a row and to a value: its kind, length and number of values; a length.
const MESSAGE_BYTES: usize = 7;
const LENGTH_BYTES: usize = 4;

/// Where a field's bytes lie in its chunk; `None` for null.
pub type Field = Option<Range<usize>>;

/// One row of the source as it came over the wire; the bytes are its chunk's.
#[derive(Clone, Debug)]
pub struct RawRow {
    /// Microseconds since 2000-01-01, as PostgreSQL stores a timestamptz.
    pub timestamp: i64,
    pub actor: Option<i64>,
    /// The statement's JSON text.
    pub statement: Field,
    /// The mapping's further columns, as text.
    pub extra: Vec<Field>,
}

impl RawRow {
    /// The row's key, in words.
    pub fn place(&self) -> String {
        let time = from_wire(self.timestamp)
            .map_or_else(|| self.timestamp.to_string(), |time| time.to_string());
        let actor = self.actor.map_or_else(|| "null".to_owned(), |actor| actor.to_string());
        format!("timestamp {time}, actor {actor}")
    }
}

/// A row of a chunk whose values the source could not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its index among the rows.
    pub row: usize,
    pub sqlstate: String,
    pub message: String,
}

/// Whether the rows of a chunk may have been handed over before, and are to be held against the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recheck {
    #[default]
    No,
    /// They may; those of the source at their timestamps are here, or follow.
    Begin,
    /// More of them at the timestamp of the chunk before; none shares its statement's id with a row there.
    Further,
}

/// Some consecutive rows of a page and the bytes they point into.
#[derive(Debug, Default)]
pub struct RawChunk {
    pub bytes: Vec<u8>,
    pub rows: Vec<RawRow>,
    /// Rows that have nothing but their key.
    pub damaged: Vec<Damage>,
    /// What they came to on the wire, keys and lengths included.
    pub wire_bytes: usize,
    pub recheck: Recheck,
    /// Held while the chunk is in memory; see [`super::Budget`].
    pub permit: Option<Permit>,
}

impl RawChunk {
    /// The bytes of a field.
    pub fn field(&self, field: &Field) -> Option<&[u8]> {
        field.as_ref().and_then(|range| self.bytes.get(range.clone()))
    }
}

/// Converts a wire timestamp; `None` for ±infinity and what chrono cannot hold.
pub fn from_wire(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros.checked_add(POSTGRES_EPOCH_MICROS)?)
}

/// Converts to microseconds since 2000-01-01.
pub fn to_wire(timestamp: DateTime<Utc>) -> i64 {
    timestamp.timestamp_micros() - POSTGRES_EPOCH_MICROS
}

/// In which order the rows of a page come, and what stands behind their columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order of keys.
    Key,
    /// In any.
    Any,
    /// In any; behind the last column stands whether the row version is newer than the scan of the
    /// heap.
    Heap,
}

/// Collects the rows of one page into chunks.
pub struct ChunkBuilder {
    kind: StatementKind,
    order: Order,
    chunk: RawChunk,
    new_versions: u64,
    last: Option<(i64, Option<i64>)>,
    largest: Option<(i64, bool, Option<i64>)>,
    last_ties: u64,
    rows: u64,
}

impl ChunkBuilder {
    /// For a page whose statements come as `kind`, and its rows in `order`.
    pub fn new(kind: StatementKind, order: Order) -> Self {
        ChunkBuilder {
            kind,
            order,
            chunk: RawChunk::default(),
            new_versions: 0,
            last: None,
            largest: None,
            last_ties: 0,
            rows: 0,
        }
    }

    /// Row versions that are newer than the scan of the heap; they are in no chunk.
    pub fn new_versions(&self) -> u64 {
        self.new_versions
    }

    /// Bytes of the wire collected for the current chunk.
    pub fn wire_bytes(&self) -> usize {
        self.chunk.wire_bytes
    }

    /// Rows of the page so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows at the end of what was read that share its last timestamp.
    pub fn last_ties(&self) -> u64 {
        self.last_ties
    }

    /// The key of the last row.
    ///
    /// # Errors
    /// [`SourceError`] for a timestamp that chrono cannot hold.
    pub fn last_key(&self) -> Result<Option<Key>, SourceError> {
        self.last.map(|(micros, actor)| key(micros, actor)).transpose()
    }

    /// The key that sorts last, whatever the order of the rows.
    ///
    /// # Errors
    /// [`SourceError`] for a timestamp that chrono cannot hold.
    pub fn largest_key(&self) -> Result<Option<Key>, SourceError> {
        self.largest.map(|(micros, _, actor)| key(micros, actor)).transpose()
    }

    /// Adds a row: its timestamp, actor, statement, and further columns.
    ///
    /// # Errors
    /// [`SourceError`] where a value is not of its type, or rows come out of key order.
    pub fn push<'a>(
        &mut self,
        fields: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> Result<(), SourceError> {
        let mut wire_bytes = MESSAGE_BYTES;
        let mut fields =
            fields.inspect(|field| wire_bytes += LENGTH_BYTES + field.map_or(0, <[u8]>::len));
        let mut next = || fields.next().ok_or_else(|| broken("too few columns"));
        let (timestamp, actor, statement) = (next()?, next()?, next()?);
        let mut extra: Vec<_> = fields.collect();
        if self.order == Order::Heap && extra.pop().flatten() == Some(&[1]) {
            self.new_versions += 1;
            return Ok(());
        }
        let key = (integer(timestamp)?.ok_or_else(|| broken("a null timestamp"))?, integer(actor)?);
        self.note_key(key)?;
        let statement = match (self.kind, statement) {
            (StatementKind::Text, text) => text,
            (StatementKind::Jsonb, None) => None,
            // jsonb_send begins with a version byte, always 1.
            (StatementKind::Jsonb, Some([1, text @ ..])) => Some(text),
            (StatementKind::Jsonb, Some(_)) => return Err(broken("a jsonb version that is not 1")),
        };
        let statement = self.keep(statement);
        let extra = extra.into_iter().map(|field| self.keep(field)).collect();
        self.chunk.wire_bytes += wire_bytes;
        self.chunk.rows.push(RawRow { timestamp: key.0, actor: key.1, statement, extra });
        Ok(())
    }

    /// Adds a row of which nothing but the key is known.
    ///
    /// # Errors
    /// As [`ChunkBuilder::push`].
    pub(super) fn push_key(
        &mut self,
        row: &RawRow,
        failure: &SourceError,
    ) -> Result<(), SourceError> {
        self.note_key((row.timestamp, row.actor))?;
        self.chunk.wire_bytes += MESSAGE_BYTES;
        self.chunk.damaged.push(Damage {
            row: self.chunk.rows.len(),
            sqlstate: failure.sqlstate.clone(),
            message: format!("the source could not send the row: {}", failure.message),
        });
        self.chunk.rows.push(RawRow { statement: None, extra: Vec::new(), ..row.clone() });
        Ok(())
    }

    /// Adds row versions that are newer than the scan of the heap.
    pub(super) fn note_new_versions(&mut self, rows: u64) {
        self.new_versions += rows;
    }

    /// Another for such rows.
    pub(super) fn like(&self) -> ChunkBuilder {
        ChunkBuilder::new(self.kind, self.order)
    }

    /// Another for the same order, whose statements come as text.
    pub(super) fn bare(&self) -> ChunkBuilder {
        ChunkBuilder::new(StatementKind::Text, self.order)
    }

    /// Takes the rows collected so far.
    pub fn take(&mut self) -> RawChunk {
        // One huge statement must not make every later chunk huge.
        let next = RawChunk {
            bytes: Vec::with_capacity(self.chunk.bytes.len().min(2 * CHUNK_BYTES)),
            rows: Vec::with_capacity(self.chunk.rows.len()),
            ..RawChunk::default()
        };
        std::mem::replace(&mut self.chunk, next)
    }

    fn keep(&mut self, field: Option<&[u8]>) -> Field {
        let start = self.chunk.bytes.len();
        self.chunk.bytes.extend_from_slice(field?);
        Some(start..self.chunk.bytes.len())
    }

    fn note_key(&mut self, key: (i64, Option<i64>)) -> Result<(), SourceError> {
        // Nulls sort last.
        let sorted = Some((key.0, key.1.is_none(), key.1));
        if self.order == Order::Key && sorted < self.largest {
            return Err(broken("rows out of key order")
                .with_hint("An index of the source may be corrupt: check it with amcheck."));
        }
        self.largest = self.largest.max(sorted);
        self.last_ties = match self.last {
            Some((timestamp, _)) if timestamp == key.0 => self.last_ties + 1,
            _ => 1,
        };
        self.last = Some(key);
        self.rows += 1;
        Ok(())
    }
}

fn key(micros: i64, actor: Option<i64>) -> Result<Key, SourceError> {
    let timestamp = from_wire(micros).ok_or_else(|| broken("a timestamp out of range"))?;
    Ok(Key { timestamp, actor })
}

/// A big-endian integer of 2, 4 or 8 bytes.
fn integer(field: Option<&[u8]>) -> Result<Option<i64>, SourceError> {
    let value = match field {
        None => return Ok(None),
        Some(&[a, b]) => i64::from(i16::from_be_bytes([a, b])),
        Some(&[a, b, c, d]) => i64::from(i32::from_be_bytes([a, b, c, d])),
        Some(&[a, b, c, d, e, f, g, h]) => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        Some(_) => return Err(broken("a key that is no integer")),
    };
    Ok(Some(value))
}

fn broken(what: &str) -> SourceError {
    SourceError::permanent(ACTION, "08P01", format!("the page holds {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Timestamp, actor, statement.
    type Sent = (i64, Option<i64>, Option<Vec<u8>>);

    fn push(builder: &mut ChunkBuilder, row: &Sent) -> Result<(), SourceError> {
        let (timestamp, actor) = (row.0.to_be_bytes(), row.1.map(i64::to_be_bytes));
        let statement = row.2.as_ref().map(|text| [&[1], text.as_slice()].concat());
        let actor = actor.as_ref().map(<[u8; 8]>::as_slice);
        builder.push([Some(timestamp.as_slice()), actor, statement.as_deref()].into_iter())
    }

    proptest! {
        #[test]
        fn rows_survive_any_cut_into_chunks(
            statements in prop::collection::vec(
                (proptest::option::of(0i64..3),
                 proptest::option::of(prop::collection::vec(any::<u8>(), 0..40))), 0..20),
            chunk in 1usize..200,
        ) {
            let mut rows: Vec<_> = statements.into_iter().enumerate()
                .map(|(n, (actor, s))| (n as i64 / 3, actor, s)).collect();
            rows.sort_by_key(|(t, a, _)| (*t, a.is_none(), *a));
            let mut builder = ChunkBuilder::new(StatementKind::Jsonb, Order::Key);
            let mut chunks = Vec::new();
            for row in &rows {
                push(&mut builder, row).unwrap();
                if builder.wire_bytes() >= chunk { chunks.push(builder.take()); }
            }
            chunks.push(builder.take());
            let read: Vec<_> = chunks.iter().flat_map(|c| c.rows.iter().map(|r| (
                r.timestamp, r.actor, c.field(&r.statement).map(<[u8]>::to_vec)))).collect();
            prop_assert_eq!(read, rows);
        }
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        let mut builder = ChunkBuilder::new(StatementKind::Jsonb, Order::Key);
        push(&mut builder, &(2, None, None)).unwrap();
        assert!(push(&mut builder, &(2, Some(1), None)).is_err());
    }

    #[test]
    fn a_row_version_that_is_newer_than_the_scan_is_counted_and_left_out() {
        let mut builder = ChunkBuilder::new(StatementKind::Text, Order::Heap);
        for (timestamp, is_new) in [(5_i64, 0), (3, 1), (4, 0)] {
            let (timestamp, is_new) = (timestamp.to_be_bytes(), [is_new]);
            let row = [Some(timestamp.as_slice()), None, Some(b"{}"), Some(b"x"), Some(&is_new)];
            builder.push(row.into_iter()).unwrap();
        }
        assert_eq!((builder.rows(), builder.new_versions()), (2, 1));
        let chunk = builder.take();
        assert_eq!(chunk.rows.iter().map(|r| r.timestamp).collect::<Vec<_>>(), [5, 4]);
        assert!(chunk.rows.iter().all(|r| r.extra.len() == 1));
    }

    #[test]
    fn a_statement_of_an_unknown_version_is_refused() {
        let mut builder = ChunkBuilder::new(StatementKind::Jsonb, Order::Key);
        let timestamp = 1_i64.to_be_bytes();
        let row = [Some(timestamp.as_slice()), None, Some(b"\x02{}".as_slice())];
        assert!(builder.push(row.into_iter()).is_err());
    }

    #[test]
    fn wire_timestamps_round_trip_and_infinity_is_none() {
        let t: DateTime<Utc> = "2025-03-01T02:03:04.000005Z".parse().unwrap();
        assert_eq!(from_wire(to_wire(t)), Some(t));
        assert_eq!(from_wire(i64::MAX), None);
        assert_eq!(from_wire(i64::MIN), None);
    }
}
