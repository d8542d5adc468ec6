//! The binary COPY stream, cut into chunks of raw rows.
//!
//! Format: PostgreSQL documentation, COPY, "Binary Format"; `src/backend/commands/copyto.c`.

use super::budget::Permit;
use super::describe::StatementKind;
use super::error::SourceError;
use crate::slice::Key;
use chrono::{DateTime, Utc};
use std::ops::Range;

/// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const ACTION: &str = "read the source's COPY stream";

/// Rows are handed over in chunks of about this size: large enough that a hand-over costs nothing,
/// small enough that many are in flight within the memory budget.
pub const CHUNK_BYTES: usize = 1 << 20;

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

/// Some consecutive rows of a page and the bytes they point into.
#[derive(Debug, Default)]
pub struct RawChunk {
    pub bytes: Vec<u8>,
    pub rows: Vec<RawRow>,
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

/// Collects the messages of one COPY into chunks. A message need not be a row: rows are found by
/// their own lengths, and one that is cut by a chunk's end moves on to the next.
pub struct ChunkBuilder {
    kind: StatementKind,
    columns: usize,
    header_read: bool,
    finished: bool,
    chunk: RawChunk,
    /// Where the first byte of an unfinished row lies.
    parsed: usize,
    last: Option<(i64, Option<i64>)>,
    last_ties: u64,
    rows: u64,
}

impl ChunkBuilder {
    /// For a page of `columns` columns: timestamp, actor, statement, and further ones.
    pub fn new(kind: StatementKind, columns: usize) -> Self {
        ChunkBuilder {
            kind,
            columns,
            header_read: false,
            finished: false,
            chunk: RawChunk::default(),
            parsed: 0,
            last: None,
            last_ties: 0,
            rows: 0,
        }
    }

    /// Bytes collected for the current chunk.
    pub fn len(&self) -> usize {
        self.chunk.bytes.len()
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
        self.last
            .map(|(micros, actor)| {
                from_wire(micros)
                    .map(|timestamp| Key { timestamp, actor })
                    .ok_or_else(|| broken("a timestamp out of range"))
            })
            .transpose()
    }

    /// Adds a message of the stream and reads the rows it completes.
    ///
    /// # Errors
    /// [`SourceError`] where the bytes are no binary COPY, or rows come out of key order.
    pub fn push(&mut self, message: &[u8]) -> Result<(), SourceError> {
        self.chunk.bytes.extend_from_slice(message);
        while !self.finished && self.read_row()? {}
        Ok(())
    }

    /// Takes the rows read so far; an unfinished one stays behind.
    pub fn take(&mut self) -> RawChunk {
        let mut chunk = std::mem::take(&mut self.chunk);
        let rest = chunk.bytes.split_off(self.parsed.min(chunk.bytes.len()));
        // One huge statement must not make every later chunk huge.
        let capacity = chunk.bytes.len().min(2 * CHUNK_BYTES);
        self.chunk.bytes = Vec::with_capacity(rest.len().max(capacity));
        self.chunk.bytes.extend_from_slice(&rest);
        self.chunk.rows = Vec::with_capacity(chunk.rows.len());
        self.parsed = 0;
        chunk
    }

    /// Checks that the stream came to its own end.
    ///
    /// # Errors
    /// [`SourceError`] where it broke off.
    pub fn finish(&self) -> Result<(), SourceError> {
        if self.finished { Ok(()) } else { Err(broken("it ended early")) }
    }

    /// Reads one row at `self.parsed`; false when it is not complete.
    fn read_row(&mut self) -> Result<bool, SourceError> {
        let mut reader = Reader { bytes: &self.chunk.bytes, at: self.parsed };
        if !self.header_read {
            let Some(complete) = read_header(&mut reader)? else { return Ok(false) };
            self.parsed = complete;
            self.header_read = true;
        }
        let Some(count) = reader.i16() else { return Ok(false) };
        if count == -1 {
            self.finished = true;
            return Ok(false);
        }
        if usize::try_from(count) != Ok(self.columns) {
            return Err(broken(&format!("{count} columns instead of {}", self.columns)));
        }
        let (Some(timestamp), Some(actor), Some(statement)) =
            (reader.field()?, reader.field()?, reader.field()?)
        else {
            return Ok(false);
        };
        let mut extra = Vec::with_capacity(self.columns - 3);
        for _ in 3..self.columns {
            let Some(field) = reader.field()? else { return Ok(false) };
            extra.push(field);
        }
        let end = reader.at;
        let row = RawRow {
            timestamp: self.integer(&timestamp)?.ok_or_else(|| broken("a null timestamp"))?,
            actor: self.integer(&actor)?,
            statement: self.statement(statement)?,
            extra,
        };
        self.note_key(&row)?;
        self.chunk.rows.push(row);
        self.parsed = end;
        Ok(true)
    }

    /// A big-endian integer of 2, 4 or 8 bytes.
    fn integer(&self, field: &Field) -> Result<Option<i64>, SourceError> {
        let Some(bytes) = self.chunk.field(field) else { return Ok(None) };
        let value = match *bytes {
            [a, b] => i64::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return Err(broken("a key that is no integer")),
        };
        Ok(Some(value))
    }

    /// Strips what precedes the text: `jsonb_send` begins with a version byte, always 1.
    fn statement(&self, field: Field) -> Result<Field, SourceError> {
        match (self.kind, field) {
            (StatementKind::Text, field) => Ok(field),
            (StatementKind::Jsonb, None) => Ok(None),
            (StatementKind::Jsonb, Some(range)) => match self.chunk.bytes.get(range.start) {
                Some(1) if !range.is_empty() => Ok(Some(range.start + 1..range.end)),
                _ => Err(broken("a jsonb version that is not 1")),
            },
        }
    }

    fn note_key(&mut self, row: &RawRow) -> Result<(), SourceError> {
        let key = (row.timestamp, row.actor);
        if let Some(last) = self.last {
            let nulls_last = |(t, a): (i64, Option<i64>)| (t, a.is_none(), a);
            if nulls_last(key) < nulls_last(last) {
                return Err(broken("rows out of key order")
                    .with_hint("An index of the source may be corrupt: check it with amcheck."));
            }
        }
        self.last_ties = match self.last {
            Some((timestamp, _)) if timestamp == row.timestamp => self.last_ties + 1,
            _ => 1,
        };
        self.last = Some(key);
        self.rows += 1;
        Ok(())
    }
}

fn broken(what: &str) -> SourceError {
    SourceError::permanent(ACTION, "08P01", format!("the stream holds {what}"))
}

/// The end of the header, or `None` while it is not complete.
fn read_header(reader: &mut Reader<'_>) -> Result<Option<usize>, SourceError> {
    let Some(signature) = reader.take(SIGNATURE.len()) else { return Ok(None) };
    if signature != SIGNATURE {
        return Err(broken("no binary COPY signature"));
    }
    let (Some(_flags), Some(extension)) = (reader.i32(), reader.i32()) else { return Ok(None) };
    let length = usize::try_from(extension).map_err(|_| broken("a broken header"))?;
    Ok(reader.take(length).map(|_| reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2).and_then(|b| b.try_into().ok()).map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4).and_then(|b| b.try_into().ok()).map(i32::from_be_bytes)
    }

    /// The next field: `None` while it is not complete, `Some(None)` for null.
    fn field(&mut self) -> Result<Option<Field>, SourceError> {
        let Some(length) = self.i32() else { return Ok(None) };
        if length == -1 {
            return Ok(Some(None));
        }
        let length = usize::try_from(length).map_err(|_| broken("a negative length"))?;
        let start = self.at;
        Ok(self.take(length).map(|_| Some(start..start + length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Timestamp, actor, statement.
    type Sent = (i64, Option<i64>, Option<Vec<u8>>);

    fn stream(rows: &[Sent]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend_from_slice(&[0; 8]);
        let field = |out: &mut Vec<u8>, bytes: Option<&[u8]>| match bytes {
            Some(bytes) => {
                out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                out.extend_from_slice(bytes);
            }
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        };
        for (timestamp, actor, statement) in rows {
            out.extend_from_slice(&3i16.to_be_bytes());
            field(&mut out, Some(&timestamp.to_be_bytes()));
            field(&mut out, actor.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
            let sent = statement.as_ref().map(|s| [&[1], s.as_slice()].concat());
            field(&mut out, sent.as_deref());
        }
        out.extend_from_slice(&(-1i16).to_be_bytes());
        out
    }

    proptest! {
        #[test]
        fn rows_survive_any_cut_of_the_stream(
            statements in prop::collection::vec(
                (proptest::option::of(0i64..3),
                 proptest::option::of(prop::collection::vec(any::<u8>(), 0..40))), 0..20),
            message in 1usize..50,
            chunk in 1usize..200,
        ) {
            let mut rows: Vec<_> = statements.into_iter().enumerate()
                .map(|(n, (actor, s))| (n as i64 / 3, actor, s)).collect();
            rows.sort_by_key(|(t, a, _)| (*t, a.is_none(), *a));
            let mut builder = ChunkBuilder::new(StatementKind::Jsonb, 3);
            let mut chunks = Vec::new();
            for part in stream(&rows).chunks(message) {
                builder.push(part).unwrap();
                if builder.len() >= chunk { chunks.push(builder.take()); }
            }
            builder.finish().unwrap();
            chunks.push(builder.take());
            let read: Vec<_> = chunks.iter().flat_map(|c| c.rows.iter().map(|r| (
                r.timestamp, r.actor, c.field(&r.statement).map(<[u8]>::to_vec)))).collect();
            prop_assert_eq!(read, rows);
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_page() {
        let whole = stream(&[(1, None, None)]);
        let mut builder = ChunkBuilder::new(StatementKind::Jsonb, 3);
        builder.push(&whole[..whole.len() - 2]).unwrap();
        assert!(builder.finish().is_err());
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        let mut builder = ChunkBuilder::new(StatementKind::Jsonb, 3);
        assert!(builder.push(&stream(&[(2, None, None), (2, Some(1), None)])).is_err());
    }

    #[test]
    fn wire_timestamps_round_trip_and_infinity_is_none() {
        let t: DateTime<Utc> = "2025-03-01T02:03:04.000005Z".parse().unwrap();
        assert_eq!(from_wire(to_wire(t)), Some(t));
        assert_eq!(from_wire(i64::MAX), None);
        assert_eq!(from_wire(i64::MIN), None);
    }
}
