//! What the reader takes, and why it leaves a text to the server.

/// The longest text the reader takes, in bytes.
///
/// It bounds a thread's memory (a tape item is 20 bytes and a text of `[1,1,1…` has one for every
/// two bytes) and keeps every length and offset of the stored form far below the 28 bits that a
/// `JEntry` has (`src/include/utils/jsonb.h`). What is longer is rare enough for the server.
pub const MAX_TEXT: usize = 4 << 20;

/// The deepest nesting the reader takes: well under what the server's stack check lets through
/// (`check_stack_depth`, 2 MB by default), and well within a Rust thread's stack.
pub const MAX_DEPTH: usize = 1_000;

/// The longest number in characters. With [`MAX_EXPONENT`] it keeps a numeric's weight under a
/// quarter of 85,536, which its 16 bits hold (`src/backend/utils/adt/numeric.c`).
pub const MAX_NUMBER: usize = 65_536;

/// The largest exponent, up or down, that the reader takes.
pub const MAX_EXPONENT: u32 = 20_000;

/// The most digits after the point that a numeric can display: the 14 bits of
/// `NUMERIC_DSCALE_MASK` (`src/backend/utils/adt/numeric.c`).
pub const MAX_SCALE: usize = 0x3FFF;

/// Why a text was left to the server's own `jsonb_in`.
///
/// It does not say that the text is bad: only that this reader will not vouch for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// Not JSON, or not surely so.
    #[error("the text is not surely valid JSON")]
    Syntax,
    /// The bytes are not UTF-8.
    #[error("the text is not valid UTF-8")]
    Encoding,
    /// An object's keys do not come strictly ascending by length, then bytes.
    #[error("an object's keys are not in the order jsonb stores them")]
    KeyOrder,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the document is nested deeper than {MAX_DEPTH}")]
    Depth,
    /// A number beyond [`MAX_NUMBER`], [`MAX_EXPONENT`] or [`MAX_SCALE`].
    #[error("a number is too long, too large or too fine")]
    Number,
    /// `\u0000`, which `jsonb` cannot hold.
    #[error("a string holds \\u0000, which jsonb cannot store")]
    NulCharacter,
    /// A `\u` escape that is half of a surrogate pair.
    #[error("a string holds half of a surrogate pair")]
    Surrogate,
    /// Longer than [`MAX_TEXT`].
    #[error("the text is longer than {MAX_TEXT} bytes")]
    Size,
}
