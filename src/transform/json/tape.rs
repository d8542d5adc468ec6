//! The tape: what the parser leaves behind, in the order of the text.

/// A stretch of a buffer, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Span {
    pub(super) fn between(start: usize, end: usize) -> Self {
        // Both are positions in a text of at most MAX_TEXT bytes, so 32 bits hold them.
        Self { offset: start as u32, length: (end - start) as u32 }
    }

    /// Where it starts.
    pub(crate) fn start(self) -> usize {
        self.offset as usize
    }

    /// The byte after its last.
    pub(crate) fn end(self) -> usize {
        self.start() + self.len()
    }

    /// How many bytes it has.
    pub(crate) fn len(self) -> usize {
        self.length as usize
    }
}

/// An object or an array on the tape; its items follow it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Container {
    /// From the opening bracket to the closing one, in the text.
    pub(crate) span: Span,
    /// Pairs of an object, elements of an array.
    pub(crate) count: u32,
    /// The tape's index after the last item inside.
    pub(crate) next: u32,
}

/// A number on the tape, as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(crate) span: Span,
    /// Characters before the point or the end, the sign included.
    pub(crate) whole: u32,
    /// Whether it is written as `numeric_out` would write it: no exponent, no negative zero.
    pub(crate) plain: bool,
}

/// One item of the tape. An object's keys and values take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    Object(Container),
    Array(Container),
    /// A string without escapes: its bytes are in the text.
    Verbatim(Span),
    /// A string with escapes: its bytes are in the tape's `unescaped`.
    Unescaped(Span),
    Number(Number),
    True,
    False,
    Null,
}

/// A reusable reader of JSON text. One a thread, kept from document to document, so that reading
/// allocates nothing once it has grown.
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) items: Vec<Item>,
    pub(super) unescaped: String,
}

/// What the tape may keep allocated between documents, in items and bytes: a single huge statement
/// must not hold its memory for the rest of the run.
const KEEP_ITEMS: usize = 1 << 15;
const KEEP_BYTES: usize = 1 << 19;

impl Tape {
    /// An empty tape.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the tape, and gives back what a huge document took.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.items.shrink_to(KEEP_ITEMS);
        self.unescaped.clear();
        self.unescaped.shrink_to(KEEP_BYTES);
    }
}

/// A document that was read: the tape and the text it speaks of.
#[derive(Clone, Copy, Debug)]
pub struct Document<'t> {
    pub(super) text: &'t str,
    pub(super) items: &'t [Item],
    pub(super) unescaped: &'t str,
    /// Whether the text is written as `jsonb_out` writes it.
    pub(super) canonical: bool,
}

impl<'t> Document<'t> {
    /// The text that was read.
    #[must_use]
    pub fn text(self) -> &'t str {
        self.text
    }

    /// Whether the text is written exactly as `jsonb_out` would write it.
    #[must_use]
    pub fn is_canonical(self) -> bool {
        self.canonical
    }

    /// The tape's items. Item 0 is the root.
    pub(crate) fn items(self) -> &'t [Item] {
        self.items
    }

    /// The buffer that the spans of [`Item::Unescaped`] point into.
    pub(crate) fn unescaped(self) -> &'t str {
        self.unescaped
    }

    /// The index of the item after the one at `at`, whatever is inside that one.
    pub(crate) fn after(self, at: usize) -> usize {
        match self.items[at] {
            Item::Object(container) | Item::Array(container) => container.next as usize,
            _ => at + 1,
        }
    }

    /// The content of the string at `at`, escapes undone; `None` when it is no string.
    pub(super) fn string(self, at: usize) -> Option<&'t str> {
        match *self.items.get(at)? {
            Item::Verbatim(span) => self.text.get(span.start()..span.end()),
            Item::Unescaped(span) => self.unescaped.get(span.start()..span.end()),
            _ => None,
        }
    }
}
