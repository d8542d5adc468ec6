//! Foreign text made fit to print: names and messages hold whatever somebody put there.

use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar;

/// Text whose every character shows, or is white space: the others are spelt out, as psql does it
/// (`\x1B`). So nothing can drive a terminal, turn the direction of a line, or break XML.
pub fn legible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hides) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match u32::from(character) {
            // Writing to a String does not fail.
            _ if !hides(character) => out.push(character),
            code @ ..0x100 => _ = write!(out, "\\x{code:02X}"),
            code => _ = write!(out, "\\u{{{code:X}}}"),
        }
    }
    Cow::Owned(out)
}

/// Whether a character has no shape of its own but an effect: controls, marks of direction,
/// invisible separators and tags, and what is no character at all.
fn hides(character: char) -> bool {
    match character {
        '\n' | '\r' | '\t' => false,
        c if c.is_control() => true,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        c => u32::from(c) & 0xFFFE == 0xFFFE,
    }
}

/// How many columns of a terminal the text takes. For text without line ends.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text on one line of at most `columns`, its end given up for an ellipsis where it is longer.
pub fn cut(text: &str, columns: usize) -> String {
    // Marks that take no column of their own, piled up without end, are no text.
    let line = legible(&shorten(text, 4 * columns + 16)).replace(['\n', '\r', '\t'], " ");
    if width(&line) <= columns {
        return line;
    }
    format!("{}…", line[..prefix(&line, columns.saturating_sub(1))].trim_end())
}

/// The first `characters` of a text, with an ellipsis where there are more.
pub fn shorten(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// The text in lines of at most `columns`, broken between words where it can be. Its own line ends
/// are kept.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for mut word in legible(paragraph).split_whitespace() {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            while width(word) > columns {
                let (beginning, rest) = word.split_at(prefix(word, columns));
                lines.push(beginning.to_owned());
                word = rest;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The length in bytes of the longest beginning that fits; at least one character's.
fn prefix(text: &str, columns: usize) -> usize {
    let mut used = 0;
    let overflow = text.char_indices().find(|(start, c)| {
        used += c.width().unwrap_or(0);
        used > columns && *start > 0
    });
    overflow.map_or(text.len(), |(start, _)| start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_shape_is_spelt_out() {
        assert_eq!(legible("a\x1b[31mb\u{7f}\u{85}"), "a\\x1B[31mb\\x7F\\x85");
        assert_eq!(legible("\u{202e}gpj.exe\u{fffe}"), "\\u{202E}gpj.exe\\u{FFFE}");
        assert_eq!(legible("학습\tüb\n"), "학습\tüb\n");
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(cut("lrs_statement_2025_03", 21), "lrs_statement_2025_03");
        assert_eq!(cut("lrs_statement_2025_03", 10), "lrs_state…");
        assert_eq!(cut("two\nlines", 20), "two lines");
        // Two columns a syllable.
        assert_eq!(cut("학습기록", 6), "학습…");
        assert_eq!(shorten("학습기록", 2), "학습…");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("first\n\nthird", 20), ["first", "", "third"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be_and_nothing_hides(
            text in any::<String>(), columns in 4usize..60
        ) {
            for line in wrap(&text, columns).iter().chain([&cut(&text, columns)]) {
                prop_assert!(width(line) <= columns, "{:?}", line);
                prop_assert!(!line.chars().any(|c| hides(c) || c == '\n'), "{:?}", line);
            }
        }
    }
}
