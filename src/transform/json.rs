//! JSON text, read once into a flat tape.
//!
//! In: the bytes of one JSON document, normally PostgreSQL's own `jsonb` output. Out: a
//! [`Document`], on which fields are looked up and from which [`super::jsonb`] writes the stored
//! form. The reader accepts only what it is sure `jsonb_in` accepts with the same meaning; all else
//! is [`Unsupported`], and the caller hands the text to the server's own `jsonb_in`.

mod decimal;
mod escape;
mod limits;
mod node;
mod parser;
mod render;
mod scan;
mod tape;
#[cfg(test)]
mod tests;

pub(crate) use decimal::{Decimal, expand};
pub use limits::{MAX_DEPTH, MAX_EXPONENT, MAX_NUMBER, MAX_SCALE, MAX_TEXT, Unsupported};
pub(crate) use node::subscript;
pub use node::{Kind, Node};
pub(crate) use render::write_string;
pub(crate) use tape::{Container, Item, Number, Span};
pub use tape::{Document, Tape};
