//! Escapes in strings.

use super::Unsupported;

/// A single escape, read.
pub(super) struct Escape {
    pub(super) character: char,
    /// The byte after it.
    pub(super) end: usize,
    /// Whether `jsonb_out` would write this character by this escape (`escape_json`,
    /// `src/backend/utils/adt/json.c`).
    pub(super) canonical: bool,
}

/// Reads the escape whose backslash is at `at`, by the rules of `json_lex_string`
/// (`src/common/jsonapi.c`).
pub(super) fn read(text: &[u8], at: usize) -> Result<Escape, Unsupported> {
    let (character, canonical) = match text.get(at + 1) {
        Some(b'"') => ('"', true),
        Some(b'\\') => ('\\', true),
        Some(b'b') => ('\u{8}', true),
        Some(b'f') => ('\u{c}', true),
        Some(b'n') => ('\n', true),
        Some(b'r') => ('\r', true),
        Some(b't') => ('\t', true),
        Some(b'/') => ('/', false),
        Some(b'u') => return unicode(text, at),
        _ => return Err(Unsupported::Syntax),
    };
    Ok(Escape { character, end: at + 2, canonical })
}

fn unicode(text: &[u8], at: usize) -> Result<Escape, Unsupported> {
    let high = code_unit(text, at)?;
    let (code, end) = match high {
        0 => return Err(Unsupported::NulCharacter),
        0xDC00..=0xDFFF => return Err(Unsupported::Surrogate),
        0xD800..=0xDBFF => {
            if text.get(at + 6..at + 8) != Some(b"\\u") {
                return Err(Unsupported::Surrogate);
            }
            let low = code_unit(text, at + 6)?;
            if !(0xDC00..=0xDFFF).contains(&low) {
                return Err(Unsupported::Surrogate);
            }
            (0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), at + 12)
        }
        code => (code, at + 6),
    };
    let character = char::from_u32(code).ok_or(Unsupported::Surrogate)?;
    Ok(Escape { character, end, canonical: is_canonical(character, &text[at + 2..at + 6]) })
}

/// `jsonb_out` writes by number only the control characters that have no letter, in lower case.
fn is_canonical(character: char, digits: &[u8]) -> bool {
    character < ' '
        && !matches!(character, '\u{8}' | '\t' | '\n' | '\u{c}' | '\r')
        && !digits.iter().any(u8::is_ascii_uppercase)
}

/// The four hexadecimal digits after the `\u` at `at`.
fn code_unit(text: &[u8], at: usize) -> Result<u32, Unsupported> {
    let digits = text.get(at + 2..at + 6).ok_or(Unsupported::Syntax)?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(Unsupported::Syntax)?;
        Ok(unit << 4 | digit)
    })
}
