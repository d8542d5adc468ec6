//! A compressor that writes PostgreSQL's own LZ format, faster than the server's.
//!
//! In: any bytes. Out: what `pglz_decompress` (`src/common/pg_lzcompress.c`) turns back into them:
//! groups of a control byte and eight items, an item being a literal byte or a match of 3 to 273
//! bytes at most 4,095 bytes back. The server's compressor walks chains of earlier positions for
//! each byte; this one looks at one earlier position, found by a hash of four bytes.

/// The longest match the format has, and the shortest that is taken here (the format has 3).
const MAX_MATCH: usize = 273;
const MIN_MATCH: usize = 4;
/// The farthest a match reaches back: 12 bits.
const MAX_DISTANCE: usize = 4_095;
/// Matches from this length on take a third byte.
const LONG_MATCH: usize = 18;

const HASH_BITS: u32 = 12;
/// Values are compressed by segments whose positions fit in 16 bits: a smaller table is emptied
/// faster, and nearly all values are far smaller than one segment.
const SEGMENT: usize = 1 << 16;
/// Items in a group, and the most bytes they take.
const ITEMS: usize = 8;
const GROUP: usize = 3 * ITEMS;
/// What the room for items may keep allocated between values, in bytes.
const KEEP: usize = 1 << 20;
/// Copies are done in blocks of this size, which may reach beyond the end.
const BLOCK: usize = 32;

/// A compressor. One a thread, kept from value to value.
#[derive(Debug)]
pub struct Compressor {
    /// Where in the segment four bytes of this hash were last seen.
    table: Box<[u16; 1 << HASH_BITS]>,
    /// Room for the items. Never cleared: only what one call wrote is read after it.
    bytes: Vec<u8>,
    matches: Vec<u8>,
    long: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressor {
    /// A compressor for values of any size.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Box::new([0; 1 << HASH_BITS]),
            bytes: Vec::new(),
            matches: Vec::new(),
            long: Vec::new(),
        }
    }

    /// Appends `source`, compressed, to `out`, and gives the bytes appended; appends nothing and
    /// gives `None` if they would be more than `limit`.
    pub fn compress(&mut self, source: &[u8], limit: usize, out: &mut Vec<u8>) -> Option<usize> {
        self.make_room(source.len());
        let mut items = Items {
            bytes: &mut self.bytes,
            matches: &mut self.matches,
            long: &mut self.long,
            length: 0,
            count: 0,
        };
        for segment in source.chunks(SEGMENT) {
            self.table.fill(0);
            find_matches(segment, &mut self.table, &mut items);
        }
        let size = items.woven_size();
        if size > limit {
            return None;
        }
        items.weave(out);
        Some(size)
    }

    fn make_room(&mut self, source: usize) {
        // An item never takes more bytes than it stands for.
        let bytes = source + GROUP + BLOCK;
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        } else if self.bytes.len() > KEEP && bytes <= KEEP {
            self.bytes.truncate(KEEP);
            self.bytes.shrink_to_fit();
        }
        let groups = source / ITEMS + 1;
        for bits in [&mut self.matches, &mut self.long] {
            bits.clear();
            bits.resize(groups, 0);
            bits.shrink_to(KEEP / ITEMS);
        }
    }
}

/// Splits a segment into literals and matches.
#[inline(always)]
fn find_matches(source: &[u8], table: &mut [u16; 1 << HASH_BITS], items: &mut Items<'_>) {
    let mut anchor = 0;
    while let Some((at, distance)) = next_match(source, anchor, table) {
        let end = at + match_length(source, at, distance);
        let start = match_start(source, anchor, at, distance);
        // A match that grew at both ends may be too long for the format.
        let end = end.min(start + MAX_MATCH);
        items.push_literals(source, anchor, start);
        items.push_match(distance, end - start);
        // Positions inside a match are not remembered, but for one near its end: what follows a
        // repetition often repeats as well.
        if let Some(word) = word(source, end - 2) {
            table[hash(word)] = (end - 2) as u16;
        }
        anchor = end;
    }
    items.push_literals(source, anchor, source.len());
}

/// The first position from `from` on whose four bytes were seen before, near enough, and how far
/// back.
#[inline(always)]
fn next_match(
    source: &[u8],
    from: usize,
    table: &mut [u16; 1 << HASH_BITS],
) -> Option<(usize, usize)> {
    for (at, window) in (from..).zip(source.get(from..)?.array_windows()) {
        let word = u32::from_le_bytes(*window);
        let slot = &mut table[hash(word)];
        let seen = usize::from(*slot);
        *slot = at as u16;
        // Bytes first: they nearly always decide, and so the branch is well predicted.
        if self::word(source, seen) == Some(word) {
            // 0 where the table was still empty and the bytes are those at 0 themselves.
            let distance = at - seen;
            if distance.wrapping_sub(1) < MAX_DISTANCE {
                return Some((at, distance));
            }
        }
    }
    None
}

#[inline(always)]
fn word(source: &[u8], at: usize) -> Option<u32> {
    let word = source.get(at..at + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

#[inline(always)]
fn hash(word: u32) -> usize {
    (word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize
}

/// How long the bytes at `at` are those `distance` before them, the first four being so.
#[inline(always)]
fn match_length(source: &[u8], at: usize, distance: usize) -> usize {
    // Nearly all matches end within the first sixteen bytes after those four: one step, and so no
    // branch that cannot be predicted.
    let mut length = MIN_MATCH;
    while let (Some(a), Some(b)) =
        (sixteen(source, at + length), sixteen(source, at - distance + length))
    {
        let different = a ^ b;
        if different != 0 {
            return length + (different.trailing_zeros() / 8) as usize;
        }
        length += 16;
        if length >= MAX_MATCH {
            return length;
        }
    }
    while let Some(byte) = source.get(at + length)
        && *byte == source[at - distance + length]
    {
        length += 1;
    }
    length
}

/// Where a match really starts: it may reach back over bytes that were taken for literals, because
/// the table had forgotten them. Looks back eight bytes at most, all at once.
#[inline(always)]
fn match_start(source: &[u8], anchor: usize, at: usize, distance: usize) -> usize {
    let (Some(before), Some(seen)) = (at.checked_sub(8), (at - distance).checked_sub(8)) else {
        return at;
    };
    let (Some(a), Some(b)) = (eight(source, before), eight(source, seen)) else {
        return at;
    };
    let same = ((a ^ b).leading_zeros() / 8) as usize;
    (at - same).max(anchor)
}

#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(eight.try_into().ok()?))
}

#[inline(always)]
fn sixteen(bytes: &[u8], at: usize) -> Option<u128> {
    let sixteen = bytes.get(at..at + 16)?;
    Some(u128::from_le_bytes(sixteen.try_into().ok()?))
}

/// The items of a value, without the control bytes, which come in when all are known: that way a
/// run of literals is one copy, however the groups fall.
struct Items<'i> {
    bytes: &'i mut [u8],
    length: usize,
    count: usize,
    /// A bit an item: whether it is a match, and whether it is one of three bytes.
    matches: &'i mut [u8],
    long: &'i mut [u8],
}

impl Items<'_> {
    #[inline(always)]
    fn push_literals(&mut self, source: &[u8], from: usize, to: usize) {
        let length = to - from;
        if length <= BLOCK
            && let Some(block) = source.get(from..from + BLOCK)
        {
            self.bytes[self.length..self.length + BLOCK].copy_from_slice(block);
        } else {
            self.bytes[self.length..self.length + length].copy_from_slice(&source[from..to]);
        }
        self.length += length;
        self.count += length;
    }

    #[inline(always)]
    fn push_match(&mut self, distance: usize, length: usize) {
        let long = length >= LONG_MATCH;
        let high = (distance >> 4) as u8 & 0xF0;
        let low = if long { 0x0F } else { (length - 3) as u8 };
        let extra = length.wrapping_sub(LONG_MATCH) as u8;
        self.bytes[self.length..self.length + 3].copy_from_slice(&[
            high | low,
            distance as u8,
            extra,
        ]);
        self.length += 2 + usize::from(long);
        let (group, bit) = (self.count / ITEMS, self.count % ITEMS);
        self.matches[group] |= 1 << bit;
        self.long[group] |= u8::from(long) << bit;
        self.count += 1;
    }

    fn woven_size(&self) -> usize {
        self.length + self.count.div_ceil(ITEMS)
    }

    /// Appends the items with their control bytes to `out`.
    fn weave(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let size = self.woven_size();
        // The last group's copy may reach beyond the end.
        out.resize(start + size + GROUP, 0);
        let woven = &mut out[start..];
        let groups = self.count.div_ceil(ITEMS);
        let mut from = 0;
        let mut to = 0;
        for (matches, long) in self.matches.iter().zip(&*self.long).take(groups) {
            woven[to] = *matches;
            woven[to + 1..to + 1 + GROUP].copy_from_slice(&self.bytes[from..from + GROUP]);
            // One byte an item, two for a match, three for a long one.
            let extra = u16::from_le_bytes([*matches, *long]).count_ones();
            from += ITEMS + extra as usize;
            to += ITEMS + extra as usize + 1;
        }
        out.truncate(start + size);
    }
}

#[cfg(test)]
mod tests;
