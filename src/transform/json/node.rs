//! Values of a document, and the way to them.

use std::borrow::Cow;

use super::tape::{Document, Item};
use super::{expand, render};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number of any shape.
    Number,
    /// `true` or `false`
    Bool,
    /// JSON's `null`, which is a value.
    Null,
}

/// A value of a document.
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    document: Document<'t>,
    at: usize,
}

impl<'t> Document<'t> {
    /// The document's outermost value.
    #[must_use]
    pub fn root(self) -> Node<'t> {
        Node::new(self, 0)
    }

    /// The value at `path`, as `jsonb #> text[]` finds it: each element is a key of an object or
    /// the index of an array (decimal, from the end when negative). An empty path is the root.
    #[must_use]
    pub fn lookup<P: AsRef<str>>(self, path: &[P]) -> Option<Node<'t>> {
        path.iter().try_fold(self.root(), |node, step| node.step(step.as_ref()))
    }
}

impl<'t> Node<'t> {
    fn new(document: Document<'t>, at: usize) -> Self {
        Self { document, at }
    }

    fn item(self) -> Item {
        self.document.items[self.at]
    }

    /// What the value is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.item() {
            Item::Object(_) => Kind::Object,
            Item::Array(_) => Kind::Array,
            Item::Verbatim(_) | Item::Unescaped(_) => Kind::String,
            Item::Number(_) => Kind::Number,
            Item::True | Item::False => Kind::Bool,
            Item::Null => Kind::Null,
        }
    }

    /// The value under `key`; `None` when there is none, or this is no object.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Node<'t>> {
        let Item::Object(object) = self.item() else {
            return None;
        };
        let mut at = self.at + 1;
        for _ in 0..object.count {
            let name = self.document.string(at)?;
            // Keys come in ascending length, so a longer one ends the search.
            if name.len() >= key.len() {
                if name.len() > key.len() {
                    return None;
                }
                if name == key {
                    return Some(Node::new(self.document, at + 1));
                }
            }
            at = self.document.after(at + 1);
        }
        None
    }

    /// The element at `index`, counted from 0; `None` when there is none, or this is no array.
    #[must_use]
    pub fn index(self, index: usize) -> Option<Node<'t>> {
        let Item::Array(array) = self.item() else {
            return None;
        };
        if index >= array.count as usize {
            return None;
        }
        let at = (0..index).fold(self.at + 1, |at, _| self.document.after(at));
        Some(Node::new(self.document, at))
    }

    /// How many pairs or elements are inside; 0 for a scalar.
    #[must_use]
    pub fn count(self) -> usize {
        match self.item() {
            Item::Object(container) | Item::Array(container) => container.count as usize,
            _ => 0,
        }
    }

    /// One step of a path, as `jsonb_get_element` takes it (`src/backend/utils/adt/jsonfuncs.c`).
    pub(super) fn step(self, step: &str) -> Option<Node<'t>> {
        match self.item() {
            Item::Object(_) => self.get(step),
            Item::Array(array) => {
                let index = subscript(step)?;
                let index = if index < 0 { i64::from(array.count) + index } else { index };
                self.index(usize::try_from(index).ok()?)
            }
            _ => None,
        }
    }

    /// The value as `jsonb #>> path` gives it: a string's content, a number or a truth value as
    /// `jsonb` prints it, an object or array as its JSON text, and `None` for JSON's `null`.
    ///
    /// It allocates only for numbers with an exponent, for negative zeros, and for objects and
    /// arrays of a text that is not written as `jsonb_out` writes.
    #[must_use]
    pub fn text(self) -> Option<Cow<'t, str>> {
        let document = self.document;
        let span = match self.item() {
            Item::Null => return None,
            Item::True => return Some(Cow::Borrowed("true")),
            Item::False => return Some(Cow::Borrowed("false")),
            Item::Verbatim(_) | Item::Unescaped(_) => {
                return document.string(self.at).map(Cow::Borrowed);
            }
            Item::Number(number) if number.plain => number.span,
            Item::Number(number) => {
                let text = document.text.get(number.span.start()..number.span.end())?;
                return Some(Cow::Owned(expand(text)));
            }
            Item::Object(container) | Item::Array(container) if document.canonical => {
                container.span
            }
            Item::Object(_) | Item::Array(_) => {
                return Some(Cow::Owned(render::jsonb_text(document, self.at)));
            }
        };
        document.text.get(span.start()..span.end()).map(Cow::Borrowed)
    }
}

/// Reads an array's subscript as `strtoint(…, 10)` does (`src/common/string.c`): white space in
/// front, a sign, leading zeros, nothing behind, 32 bits.
pub(crate) fn subscript(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse::<i32>().ok().map(i64::from)
}
