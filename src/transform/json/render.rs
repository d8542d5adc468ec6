//! A value written as `jsonb_out` writes it, for texts that are not.

use std::fmt::Write as _;

use super::expand;
use super::tape::{Document, Item};

/// The text of the value at `at`: keys and elements in their order, one space after each comma and
/// colon (`JsonbToCString`, `src/backend/utils/adt/jsonb.c`).
pub(super) fn jsonb_text(document: Document<'_>, at: usize) -> String {
    let mut out = String::new();
    value(document, at, &mut out);
    out
}

fn value(document: Document<'_>, at: usize, out: &mut String) {
    match document.items[at] {
        Item::Null => out.push_str("null"),
        Item::True => out.push_str("true"),
        Item::False => out.push_str("false"),
        Item::Verbatim(_) | Item::Unescaped(_) => string(document, at, out),
        Item::Number(number) => {
            let text = document.text.get(number.span.start()..number.span.end());
            out.push_str(&expand(text.unwrap_or_default()));
        }
        Item::Array(array) => {
            out.push('[');
            let mut item = at + 1;
            for i in 0..array.count {
                separate(i, out);
                value(document, item, out);
                item = document.after(item);
            }
            out.push(']');
        }
        Item::Object(object) => {
            out.push('{');
            let mut item = at + 1;
            for i in 0..object.count {
                separate(i, out);
                string(document, item, out);
                out.push_str(": ");
                value(document, item + 1, out);
                item = document.after(item + 1);
            }
            out.push('}');
        }
    }
}

fn separate(i: u32, out: &mut String) {
    if i > 0 {
        out.push_str(", ");
    }
}

fn string(document: Document<'_>, at: usize, out: &mut String) {
    write_string(document.string(at).unwrap_or_default(), out);
}

/// A string in quotes, escaped as `escape_json` does (`src/backend/utils/adt/json.c`).
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
