//! The parser: one pass over the text, one item pushed for each key and value.
//!
//! The grammar is the server's (`src/common/jsonapi.c`), narrowed to what needs no thought. The
//! position is passed and returned rather than kept in the struct, so that it stays in a register
//! across the pushes.

use super::limits::{MAX_DEPTH, MAX_EXPONENT, MAX_NUMBER, MAX_SCALE, MAX_TEXT, Unsupported};
use super::tape::{Container, Document, Item, Number, Span, Tape};
use super::{escape, scan};

impl Tape {
    /// Reads one document.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] when there is any doubt that `jsonb_in` of a UTF-8 database takes `text` and
    /// means the same by it.
    pub fn parse<'t>(&'t mut self, text: &'t [u8]) -> Result<Document<'t>, Unsupported> {
        if text.len() > MAX_TEXT {
            return Err(Unsupported::Size);
        }
        let text = simdutf8::basic::from_utf8(text).map_err(|_| Unsupported::Encoding)?;
        self.clear();
        let canonical = Parser::new(text, &mut self.items, &mut self.unescaped).document()?;
        Ok(Document { text, items: &self.items, unescaped: &self.unescaped, canonical })
    }
}

pub(super) struct Parser<'p> {
    text: &'p str,
    bytes: &'p [u8],
    items: &'p mut Vec<Item>,
    unescaped: &'p mut String,
    canonical: bool,
}

impl<'p> Parser<'p> {
    pub(super) fn new(text: &'p str, items: &'p mut Vec<Item>, unescaped: &'p mut String) -> Self {
        Self { text, bytes: text.as_bytes(), items, unescaped, canonical: true }
    }

    /// Reads the whole text; says whether it is written as `jsonb_out` writes.
    pub(super) fn document(mut self) -> Result<bool, Unsupported> {
        let at = self.skip_space(0);
        let at = self.value(at, 0)?;
        let at = self.skip_space(at);
        if at != self.bytes.len() {
            return Err(Unsupported::Syntax);
        }
        Ok(self.canonical)
    }

    /// The byte at `at`; 0, which no JSON has outside a string, past the end.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn value(&mut self, at: usize, depth: usize) -> Result<usize, Unsupported> {
        match self.byte(at) {
            b'"' => {
                let (item, at) = self.string(at)?;
                self.items.push(item);
                Ok(at)
            }
            b'{' => self.object(at, depth + 1),
            b'[' => self.array(at, depth + 1),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.literal(at, b"true", Item::True),
            b'f' => self.literal(at, b"false", Item::False),
            b'n' => self.literal(at, b"null", Item::Null),
            _ => Err(Unsupported::Syntax),
        }
    }

    fn object(&mut self, open: usize, depth: usize) -> Result<usize, Unsupported> {
        let slot = self.open(depth)?;
        let mut at = self.skip_space(open + 1);
        let mut count = 0;
        if self.byte(at) != b'}' {
            let mut previous = None;
            loop {
                if self.byte(at) != b'"' {
                    return Err(Unsupported::Syntax);
                }
                let (key, after) = self.string(at)?;
                if let Some(previous) = previous
                    && !self.ascend(previous, key)
                {
                    return Err(Unsupported::KeyOrder);
                }
                previous = Some(key);
                self.items.push(key);
                let colon = self.skip_space(after);
                if self.byte(colon) != b':' {
                    return Err(Unsupported::Syntax);
                }
                at = self.one_space(colon + 1);
                at = self.value(at, depth)?;
                count += 1;
                at = self.skip_space(at);
                match self.byte(at) {
                    b',' => at = self.one_space(at + 1),
                    b'}' => break,
                    _ => return Err(Unsupported::Syntax),
                }
            }
        }
        self.items[slot] = Item::Object(self.closed(open, at + 1, count));
        Ok(at + 1)
    }

    fn array(&mut self, open: usize, depth: usize) -> Result<usize, Unsupported> {
        let slot = self.open(depth)?;
        let mut at = self.skip_space(open + 1);
        let mut count = 0;
        if self.byte(at) != b']' {
            loop {
                at = self.value(at, depth)?;
                count += 1;
                at = self.skip_space(at);
                match self.byte(at) {
                    b',' => at = self.one_space(at + 1),
                    b']' => break,
                    _ => return Err(Unsupported::Syntax),
                }
            }
        }
        self.items[slot] = Item::Array(self.closed(open, at + 1, count));
        Ok(at + 1)
    }

    /// Holds the place of a container, which is known in full only at its end.
    fn open(&mut self, depth: usize) -> Result<usize, Unsupported> {
        if depth > MAX_DEPTH {
            return Err(Unsupported::Depth);
        }
        self.items.push(Item::Null);
        Ok(self.items.len() - 1)
    }

    fn closed(&self, open: usize, end: usize, count: u32) -> Container {
        Container { span: Span::between(open, end), count, next: self.items.len() as u32 }
    }

    /// Whether `key` comes after `previous` in the order jsonb stores keys: by length, then by
    /// bytes (`lengthCompareJsonbString`, `src/backend/utils/adt/jsonb_util.c`). Equal keys are
    /// out of order too: the server would drop one of them.
    #[inline(always)]
    fn ascend(&self, previous: Item, key: Item) -> bool {
        let (before, after) = (length(previous), length(key));
        before < after || (before == after && self.content(previous) < self.content(key))
    }

    fn content(&self, item: Item) -> &[u8] {
        match item {
            Item::Verbatim(span) => &self.bytes[span.start()..span.end()],
            Item::Unescaped(span) => &self.unescaped.as_bytes()[span.start()..span.end()],
            _ => &[],
        }
    }

    /// Reads the string whose opening quote is at `quote`.
    #[inline(always)]
    fn string(&mut self, quote: usize) -> Result<(Item, usize), Unsupported> {
        let start = quote + 1;
        let end = scan::string_special(self.bytes, start);
        if self.byte(end) == b'"' {
            return Ok((Item::Verbatim(Span::between(start, end)), end + 1));
        }
        self.string_with_escapes(start, end)
    }

    /// Continues a string that has an escape, or something unfit, at `special`.
    #[inline(never)]
    fn string_with_escapes(
        &mut self,
        start: usize,
        mut special: usize,
    ) -> Result<(Item, usize), Unsupported> {
        let kept = self.unescaped.len();
        let mut from = start;
        loop {
            self.unescaped.push_str(self.text.get(from..special).ok_or(Unsupported::Syntax)?);
            match self.byte(special) {
                b'"' => {
                    let span = Span::between(kept, self.unescaped.len());
                    return Ok((Item::Unescaped(span), special + 1));
                }
                b'\\' => {
                    let escape = escape::read(self.bytes, special)?;
                    self.unescaped.push(escape.character);
                    self.canonical &= escape.canonical;
                    from = escape.end;
                    special = scan::string_special(self.bytes, from);
                }
                _ => return Err(Unsupported::Syntax),
            }
        }
    }

    fn number(&mut self, start: usize) -> Result<usize, Unsupported> {
        let negative = self.byte(start) == b'-';
        let first = start + usize::from(negative);
        let mut at = match self.byte(first) {
            b'0' => first + 1,
            b'1'..=b'9' => scan::digits_end(self.bytes, first + 1),
            _ => return Err(Unsupported::Syntax),
        };
        let whole = at - start;
        let mut scale = 0;
        if self.byte(at) == b'.' {
            let fraction = at + 1;
            at = scan::digits_end(self.bytes, fraction);
            scale = at - fraction;
            if scale == 0 {
                return Err(Unsupported::Syntax);
            }
        }
        let mut plain = !(negative && scan::all_zero(&self.bytes[first..at]));
        if matches!(self.byte(at), b'e' | b'E') {
            plain = false;
            let finer;
            (at, finer) = self.exponent(at + 1)?;
            scale += finer;
        }
        if scale > MAX_SCALE || at - start > MAX_NUMBER {
            return Err(Unsupported::Number);
        }
        self.canonical &= plain;
        self.items.push(Item::Number(Number {
            span: Span::between(start, at),
            whole: whole as u32,
            plain,
        }));
        Ok(at)
    }

    /// Reads an exponent; gives its end and how many more digits it puts after the point, at most.
    #[inline(never)]
    fn exponent(&self, at: usize) -> Result<(usize, usize), Unsupported> {
        let negative = self.byte(at) == b'-';
        let start = at + usize::from(matches!(self.byte(at), b'+' | b'-'));
        let end = scan::digits_end(self.bytes, start);
        if end == start {
            return Err(Unsupported::Syntax);
        }
        let size: u32 = self
            .text
            .get(start..end)
            .and_then(|digits| digits.parse().ok())
            .filter(|size| *size <= MAX_EXPONENT)
            .ok_or(Unsupported::Number)?;
        Ok((end, if negative { size as usize } else { 0 }))
    }

    fn literal(&mut self, at: usize, word: &[u8], item: Item) -> Result<usize, Unsupported> {
        let end = at + word.len();
        if self.bytes.get(at..end) != Some(word) {
            return Err(Unsupported::Syntax);
        }
        self.items.push(item);
        Ok(end)
    }

    /// Steps over the one space that `jsonb_out` writes after a colon and a comma, and over
    /// whatever other white space there is.
    #[inline(always)]
    fn one_space(&mut self, at: usize) -> usize {
        if self.byte(at) == b' ' {
            return self.skip_space(at + 1);
        }
        self.canonical = false;
        self.skip_space(at)
    }

    /// Steps over white space where `jsonb_out` writes none.
    #[inline(always)]
    fn skip_space(&mut self, at: usize) -> usize {
        // No byte above the space can be white space, and nearly every byte is above it.
        if self.byte(at) > b' ' {
            return at;
        }
        self.skip_odd_space(at)
    }

    #[cold]
    fn skip_odd_space(&mut self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            self.canonical = false;
            at += 1;
        }
        at
    }
}

#[inline(always)]
fn length(key: Item) -> u32 {
    match key {
        Item::Verbatim(span) | Item::Unescaped(span) => span.length,
        _ => 0,
    }
}
