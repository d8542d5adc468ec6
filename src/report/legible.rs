//! Foreign text made fit to print: names and messages hold whatever somebody put there.

use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

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
            code if !hides(character) => out.extend(char::from_u32(code)),
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
    text.width()
}

/// The text on one line of at most `columns`, its end given up for an ellipsis where it is longer.
pub fn cut(text: &str, columns: usize) -> String {
    cut_line(text.trim(), columns)
}

/// The same, blanks at the beginning kept.
pub fn cut_line(text: &str, columns: usize) -> String {
    let line = one_line(text, columns);
    if width(&line) <= columns && line.chars().count() <= most_characters(columns) {
        return line;
    }
    let mut end = prefix(&line, columns.saturating_sub(1));
    // A mark that joins what follows must not join the ellipsis.
    while width(&line[..end]) + 1 > columns && end > 0 {
        end = line[..end].char_indices().last().map_or(0, |(start, _)| start);
    }
    format!("{}…", line[..end].trim_end())
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
    let columns = columns.max(4);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in legible(paragraph).split_whitespace() {
            add_word(word, columns, &mut line, &mut lines);
        }
        lines.push(line);
    }
    lines
}

fn add_word(mut word: &str, columns: usize, line: &mut String, lines: &mut Vec<String>) {
    let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
    if width(&longer) <= columns && longer.chars().count() <= most_characters(columns) {
        *line = longer;
        return;
    }
    if !line.is_empty() {
        lines.push(std::mem::take(line));
    }
    loop {
        // At least one character, or there would be no end.
        let first = word.chars().next().map_or(0, char::len_utf8);
        match prefix(word, columns).max(first) {
            end if end >= word.len() => break,
            end => {
                lines.push(word[..end].to_owned());
                word = &word[end..];
            }
        }
    }
    word.clone_into(line);
}

/// Legible, on one line: line ends and tabs become blanks. Not much longer than `columns`, however
/// long the text is.
fn one_line(text: &str, columns: usize) -> String {
    let few = shorten(text, most_characters(columns) + 1);
    legible(&few).replace(['\n', '\r', '\t'], " ")
}

/// Marks that take no column of their own, piled up without end, are no text.
fn most_characters(columns: usize) -> usize {
    4 * columns + 16
}

/// The length in bytes of the longest beginning that fits.
fn prefix(text: &str, columns: usize) -> usize {
    let mut fitting = 0;
    for (start, character) in text.char_indices().take(most_characters(columns)) {
        let end = start + character.len_utf8();
        if width(&text[..end]) > columns {
            // A later mark may join with what is here, but never to less than it was.
            break;
        }
        fitting = end;
    }
    fitting
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

    /// Any characters, the troublesome ones often.
    fn text() -> impl Strategy<Value = String> {
        let odd = "[a-z \\n\\t\u{1b}\u{300}\u{fe0f}\u{200d}\u{202e}❤#1👩학ㅏᆨلا<&\"']";
        prop_oneof![
            any::<String>(),
            proptest::string::string_regex(&format!("{odd}{{0,80}}")).unwrap()
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in text(), columns in 4usize..60) {
            let cut = cut(&text, columns);
            prop_assert!(width(&cut) <= columns, "{:?}", cut);
            for line in wrap(&text, columns) {
                prop_assert!(width(&line) <= columns, "{:?}", line);
            }
        }

        #[test]
        fn nothing_that_hides_is_left(text in text()) {
            prop_assert!(!legible(&text).chars().any(hides));
            prop_assert!(!cut(&text, 30).chars().any(|c| hides(c) || c == '\n'));
        }

        #[test]
        fn wrapping_loses_no_word(text in "[a-z]{1,9}( [a-z]{1,9}){0,30}", columns in 4usize..60) {
            prop_assert_eq!(wrap(&text, columns).concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
