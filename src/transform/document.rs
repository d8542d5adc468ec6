//! A statement that the fast reader left alone, read by serde_json, and looking things up in it with
//! the meaning of PostgreSQL's `#>>`.

use super::json::{self, subscript};
use serde::Deserialize as _;
use serde_json::{Deserializer, Value};
use std::borrow::Cow;

/// A deeper document is not read. The server has a limit of its own, by its stack: some 6,000 levels
/// with the default `max_stack_depth`.
const DEEPEST: usize = 20_000;

/// Stack that reading and dropping a document of [`DEEPEST`] levels takes, with room to spare; it
/// is only touched where a document is that deep.
pub const STACK_BYTES: usize = 64 << 20;

/// Reads JSON text; `None` where it is not JSON, or too deep.
pub fn parse(text: &str) -> Option<Value> {
    if depth_bound(text) > DEEPEST {
        return None;
    }
    let mut deserializer = Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let value = Value::deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// No less than the document's depth: brackets inside strings are counted as well.
fn depth_bound(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The value at `path`; `None` where there is nothing, or JSON's null.
pub fn value_at<'v>(root: &'v Value, path: &[String]) -> Option<&'v Value> {
    let found = path.iter().try_fold(root, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(elements) => elements.get(array_index(step, elements.len())?),
        _ => None,
    })?;
    (!found.is_null()).then_some(found)
}

/// A value as `jsonb #>>` gives it: a string's content, anything else as JSON.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(json_of(other)),
    }
}

/// A value as `jsonb_out` writes it.
pub fn json_of(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, &mut out);
    out
}

fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&number_of(&number.to_string())),
        Value::String(text) => json::write_string(text, out),
        Value::Array(elements) => {
            out.push('[');
            for (n, element) in elements.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write_json(element, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // As jsonb has them: shorter keys first.
            members.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
            out.push('{');
            for (n, (key, member)) in members.into_iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                json::write_string(key, out);
                out.push_str(": ");
                write_json(member, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// A number as numeric writes it; one that no numeric holds, or of very many digits, as it came.
fn number_of(number: &str) -> Cow<'_, str> {
    let exponent = number.split_once(['e', 'E']).map_or(Ok(0), |(_, e)| e.parse::<i64>());
    match exponent {
        Ok(exponent) if exponent.unsigned_abs() <= u64::from(json::MAX_EXPONENT) => {
            Cow::Owned(json::expand(number))
        }
        _ => Cow::Borrowed(number),
    }
}

/// An array step, read as the fast reader does; negative ones count from the end.
fn array_index(step: &str, length: usize) -> Option<usize> {
    let index = subscript(step)?;
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(json: &str, path: &[&str]) -> Option<String> {
        let path: Vec<String> = path.iter().map(|s| (*s).to_owned()).collect();
        value_at(&parse(json).unwrap(), &path).map(|v| text_of(v).into_owned())
    }

    #[test]
    fn values_come_as_text_the_way_sql_gives_them() {
        let json = r#"{"a": {"b": [10, "x\ny", null, {"c": 29.310}]}, "t": true}"#;
        assert_eq!(at(json, &["a", "b", "0"]).as_deref(), Some("10"));
        assert_eq!(at(json, &["a", "b", "1"]).as_deref(), Some("x\ny"));
        assert_eq!(at(json, &["a", "b", "2"]), None);
        assert_eq!(at(json, &["a", "b", "-1", "c"]).as_deref(), Some("29.310"));
        assert_eq!(at(json, &["t"]).as_deref(), Some("true"));
        assert_eq!(at(json, &["a", "missing"]), None);
        assert_eq!(at(json, &["a", "b", "-9"]), None);
        assert_eq!(at(json, &["t", "deeper"]), None);
    }

    #[test]
    fn numbers_and_documents_are_written_as_jsonb_writes_them() {
        let json = r#"{"n": 1.5e2, "o": {"bb": [1E+3, -0, {"z":"\u00e9\n"}], "a": 2.50e-1}, "huge": 1e999999999}"#;
        assert_eq!(at(json, &["n"]).as_deref(), Some("150"));
        assert_eq!(
            at(json, &["o"]).as_deref(),
            Some("{\"a\": 0.250, \"bb\": [1000, 0, {\"z\": \"é\\n\"}]}")
        );
        assert!(at(json, &["huge"]).unwrap().starts_with("1e"));
    }

    #[test]
    fn documents_that_are_no_object_hold_no_keys() {
        for json in ["null", "42", "\"text\"", "[]", "[1, 2]"] {
            assert_eq!(at(json, &["actor"]), None, "{json}");
        }
    }

    #[test]
    fn a_bottomless_document_is_refused_and_a_deep_one_read() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(1_000_000)).is_none());
        let deep = std::thread::Builder::new().stack_size(STACK_BYTES);
        let read = deep.spawn(move || parse(&nested(DEEPEST)).is_some()).unwrap().join();
        assert!(read.unwrap());
    }
}
