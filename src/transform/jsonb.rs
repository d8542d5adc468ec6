//! The tape, written as the bytes PostgreSQL stores for a `jsonb`.
//!
//! In: a [`Document`] of [`super::json`]. Out: the content of the varlena that `jsonb_in` would
//! return for the same text, byte for byte: a `JsonbContainer` (`src/include/utils/jsonb.h`), laid
//! out as `convertToJsonb` does (`src/backend/utils/adt/jsonb_util.c`). The outer header is
//! [`super::toast`]'s.

mod numeric;
#[cfg(test)]
mod reader;
#[cfg(test)]
pub(crate) mod tests;

use super::json::{Container, Decimal, Document, Item, MAX_TEXT, Number, Span, expand};

/// Types of a value, in a `JEntry`'s bits 28 to 30.
const IS_STRING: u32 = 0x0000_0000;
const IS_NUMERIC: u32 = 0x1000_0000;
const IS_FALSE: u32 = 0x2000_0000;
const IS_TRUE: u32 = 0x3000_0000;
const IS_NULL: u32 = 0x4000_0000;
const IS_CONTAINER: u32 = 0x5000_0000;
/// Set where a `JEntry` holds an end offset instead of a length.
const HAS_OFFSET: u32 = 0x8000_0000;
const TYPE_MASK: u32 = 0x7000_0000;
const LENGTH_MASK: u32 = 0x0FFF_FFFF;
/// Every so many entries hold an end offset (`JB_OFFSET_STRIDE`).
const OFFSET_STRIDE: u32 = 32;

/// Flags of a container's header, above the count.
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;

/// The most that a tape item adds to the text's own bytes: an entry (4), padding (3), and a
/// numeric's headers (8) and partly filled groups (at most 6 beyond its digits) or a container's
/// header (4).
const ITEM_OVERHEAD: usize = 24;
/// Short copies are done in blocks, which may reach this far beyond the end.
const BLOCK: usize = 32;
const SLACK: usize = 2 * BLOCK;

// Every length and offset fits in a JEntry's 28 bits: a tape has at most one item for each byte of
// text, and one more.
const _: () = assert!(MAX_TEXT + ITEM_OVERHEAD * (MAX_TEXT + 1) < LENGTH_MASK as usize);

/// What the buffer may keep allocated between documents, in bytes.
const KEEP: usize = 1 << 20;

/// A writer of stored `jsonb`. One a thread, kept from document to document.
#[derive(Debug, Default)]
pub struct Encoder {
    /// Never cleared: only what is written in one call is read after it.
    buffer: Vec<u8>,
}

impl Encoder {
    /// A writer with nothing allocated yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `document`; gives the stored bytes, without the outer varlena header.
    ///
    /// It cannot fail: what the reader accepted has a stored form.
    pub fn encode(&mut self, document: Document<'_>) -> &[u8] {
        let bound = document.text().len() + ITEM_OVERHEAD * document.items().len() + SLACK;
        if self.buffer.len() < bound {
            self.buffer.resize(bound.next_power_of_two(), 0);
        } else if self.buffer.len() > KEEP && bound <= KEEP {
            self.buffer.truncate(KEEP);
            self.buffer.shrink_to_fit();
        }
        let mut writer = Writer { document, buffer: &mut self.buffer, length: 0 };
        writer.root();
        let length = writer.length;
        &self.buffer[..length]
    }
}

/// A document on its way into the buffer.
struct Writer<'w> {
    document: Document<'w>,
    buffer: &'w mut [u8],
    length: usize,
}

impl Writer<'_> {
    /// A scalar at the top is stored as an array of one that says so.
    fn root(&mut self) {
        if let Item::Object(_) | Item::Array(_) = self.document.items()[0] {
            self.value(0);
            return;
        }
        self.append_word(1 | ARRAY | SCALAR);
        let entries = self.reserve_entries(1);
        let mut entry = Entries::starting_at(entries);
        let value = self.value(0);
        entry.put(self, value);
    }

    /// Appends the value at `at` and gives its entry.
    #[inline(always)]
    fn value(&mut self, at: usize) -> u32 {
        match self.document.items()[at] {
            Item::Verbatim(span) => self.string(self.document.text(), span),
            Item::Unescaped(span) => self.string(self.document.unescaped(), span),
            Item::Number(number) => self.number(number),
            Item::Object(object) => self.object(at, object),
            Item::Array(array) => self.array(at, array),
            Item::True => IS_TRUE,
            Item::False => IS_FALSE,
            Item::Null => IS_NULL,
        }
    }

    fn object(&mut self, at: usize, object: Container) -> u32 {
        let start = self.length;
        self.align();
        self.append_word(object.count | OBJECT);
        let mut entries = Entries::starting_at(self.reserve_entries(2 * object.count));
        // All keys come before all values, in the entries and in the data; a value's padding
        // depends on the length of the keys, hence the two walks.
        let mut item = at + 1;
        for _ in 0..object.count {
            let entry = self.value(item);
            entries.put(self, entry);
            item = self.document.after(item + 1);
        }
        let mut item = at + 1;
        for _ in 0..object.count {
            let entry = self.value(item + 1);
            entries.put(self, entry);
            item = self.document.after(item + 1);
        }
        IS_CONTAINER | (self.length - start) as u32
    }

    fn array(&mut self, at: usize, array: Container) -> u32 {
        let start = self.length;
        self.align();
        self.append_word(array.count | ARRAY);
        let mut entries = Entries::starting_at(self.reserve_entries(array.count));
        let mut item = at + 1;
        for _ in 0..array.count {
            let entry = self.value(item);
            entries.put(self, entry);
            item = self.document.after(item);
        }
        IS_CONTAINER | (self.length - start) as u32
    }

    /// Strings are not aligned.
    #[inline(always)]
    fn string(&mut self, from: &str, span: Span) -> u32 {
        let from = from.as_bytes();
        let (start, length) = (span.start(), span.len());
        let end = self.length + length;
        // Most strings are short: one block of fixed size, whose excess the next write covers, is
        // much cheaper than a copy of the exact length.
        if length <= BLOCK
            && let Some(block) = from.get(start..start + BLOCK)
        {
            self.buffer[self.length..self.length + BLOCK].copy_from_slice(block);
        } else {
            self.buffer[self.length..end].copy_from_slice(&from[start..start + length]);
        }
        self.length = end;
        IS_STRING | span.length
    }

    /// Numerics are aligned to 4, and the padding is part of their length.
    fn number(&mut self, number: Number) -> u32 {
        let start = self.length;
        self.align();
        let text = &self.document.text()[number.span.start()..number.span.end()];
        let place = &mut self.buffer[self.length..];
        self.length += if number.plain {
            let decimal = Decimal::of_plain(text.as_bytes(), number.whole as usize);
            numeric::write(decimal, place)
        } else {
            let text = expand(text);
            let whole = text.find('.').unwrap_or(text.len());
            numeric::write(Decimal::of_plain(text.as_bytes(), whole), place)
        };
        IS_NUMERIC | (self.length - start) as u32
    }

    /// Pads with zeros to the next multiple of 4.
    #[inline(always)]
    fn align(&mut self) {
        self.put_word(self.length, 0);
        self.length = self.length.next_multiple_of(4);
    }

    #[inline(always)]
    fn append_word(&mut self, word: u32) {
        self.put_word(self.length, word);
        self.length += 4;
    }

    #[inline(always)]
    fn put_word(&mut self, at: usize, word: u32) {
        self.buffer[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    /// Leaves room for `count` entries; gives the place of the first.
    fn reserve_entries(&mut self, count: u32) -> usize {
        let at = self.length;
        self.length += 4 * count as usize;
        at
    }
}

/// The entries of one container, filled in as its values are appended.
struct Entries {
    at: usize,
    index: u32,
    total: u32,
}

impl Entries {
    fn starting_at(at: usize) -> Self {
        Self { at, index: 0, total: 0 }
    }

    /// Writes the next entry: its length, or where it ends if its turn has come.
    #[inline(always)]
    fn put(&mut self, writer: &mut Writer<'_>, entry: u32) {
        self.total += entry & LENGTH_MASK;
        let entry = if self.index.is_multiple_of(OFFSET_STRIDE) {
            (entry & TYPE_MASK) | self.total | HAS_OFFSET
        } else {
            entry
        };
        writer.put_word(self.at, entry);
        self.index += 1;
        self.at += 4;
    }
}
