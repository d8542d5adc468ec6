//! Text to values, with the rules of the server's own input functions.

/// A value that its column cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    pub sqlstate: &'static str,
    pub message: String,
}

/// Reads a uuid as `uuid_in` does: 32 hexadecimal digits of either case, a hyphen allowed after
/// each group of four, braces around the whole (`src/backend/utils/adt/uuid.c`).
///
/// # Errors
/// [`Unfit`] with SQLSTATE 22P02.
pub fn uuid(text: &str) -> Result<[u8; 16], Unfit> {
    let unfit = || Unfit {
        sqlstate: "22P02",
        // No text of the server holds a zero byte, nor does the reject's message.
        message: format!(
            "invalid input syntax for type uuid: \"{}\"",
            shorten(text).replace('\0', "\\x00")
        ),
    };
    let mut rest = text.as_bytes();
    if let Some(inner) = rest.strip_prefix(b"{") {
        rest = inner.strip_suffix(b"}").ok_or_else(unfit)?;
    }
    let mut value = [0; 16];
    for (n, byte) in value.iter_mut().enumerate() {
        let (digits, after) = rest.split_at_checked(2).ok_or_else(unfit)?;
        *byte = hex(digits[0]).zip(hex(digits[1])).map(|(h, l)| h << 4 | l).ok_or_else(unfit)?;
        rest = match after.strip_prefix(b"-") {
            Some(after) if n % 2 == 1 && n < 15 => after,
            _ => after,
        };
    }
    if rest.is_empty() { Ok(value) } else { Err(unfit()) }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Fits text to a text or varchar(n) column: what is too long may end in spaces, which go
/// (`src/backend/utils/adt/varchar.c`, `varchar_input`).
///
/// # Errors
/// [`Unfit`]: 22001 too long, 22021 a zero byte.
pub fn text(text: &str, max_chars: Option<u32>) -> Result<&str, Unfit> {
    if text.as_bytes().contains(&0) {
        return Err(Unfit {
            sqlstate: "22021",
            message: "the text holds \\u0000, which no text of PostgreSQL can".into(),
        });
    }
    let Some(max) = max_chars else { return Ok(text) };
    let Some((cut, _)) = text.char_indices().nth(max as usize) else { return Ok(text) };
    if text[cut..].bytes().all(|b| b == b' ') {
        return Ok(&text[..cut]);
    }
    Err(Unfit {
        sqlstate: "22001",
        message: format!(
            "value too long for type character varying({max}): {} characters",
            text.chars().count()
        ),
    })
}

/// Whether a source column's text is a timestamptz: the sessions there write it in UTC.
pub fn is_instant(text: &str) -> bool {
    let time = text.strip_suffix(" BC").unwrap_or(text).strip_suffix("+00");
    time.is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()) && time.contains(':'))
}

/// Refuses a time that depends on when it is read, which the server's input functions take.
///
/// # Errors
/// [`Unfit`] with SQLSTATE 22007.
pub fn check_time(text: &str) -> Result<(), Unfit> {
    const WORDS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
    if !words.any(|word| WORDS.iter().any(|w| w.eq_ignore_ascii_case(word))) {
        return Ok(());
    }
    Err(Unfit {
        sqlstate: "22007",
        message: format!(
            "a time in data must not depend on when it is read: \"{}\"",
            shorten(text)
        ),
    })
}

/// Enough of a bad value to recognise it by.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_however_they_are_written() {
        let expected = uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").unwrap();
        for same in [
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            assert_eq!(uuid(same), Ok(expected), "{same}");
        }
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for bad in [
            "",
            "test-1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ",
            " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0-eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc99--9c0b4ef8bb6d6bb9bd380a11",
            "ga0eebc999c0b4ef8bb6d6bb9bd380a1",
            "é0eebc999c0b4ef8bb6d6bb9bd380a11",
        ] {
            assert_eq!(uuid(bad).map_err(|u| u.sqlstate), Err("22P02"), "{bad}");
        }
    }

    #[test]
    fn a_time_that_depends_on_the_clock_is_no_time() {
        for bad in ["now", " NOW ", "today", "Tomorrow 10:00", "yesterday allballs", "now()"] {
            assert_eq!(check_time(bad).map_err(|u| u.sqlstate), Err("22007"), "{bad}");
        }
        for good in ["2025-03-01T10:00:00", "1 Nov 2025", "epoch", "infinity", "", "nowhere"] {
            assert_eq!(check_time(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters_and_spaces_may_go() {
        assert_eq!(text("한국어", Some(3)), Ok("한국어"));
        assert_eq!(text("abc   ", Some(3)), Ok("abc"));
        assert_eq!(text("abc  ", None), Ok("abc  "));
        assert_eq!(text("한국어다", Some(3)).map_err(|u| u.sqlstate), Err("22001"));
        assert_eq!(text("a\0b", None).map_err(|u| u.sqlstate), Err("22021"));
    }
}
