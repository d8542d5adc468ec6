//! A parsed statement, and looking things up in it with the meaning of PostgreSQL's `#>>`.

use serde_json::Value;
use std::borrow::Cow;

/// A statement whose JSON has been read.
pub enum Document {
    Parsed(Value),
}

impl Document {
    /// Reads JSON text; `None` where it is not JSON.
    pub fn parse(text: &str) -> Option<Document> {
        serde_json::from_str(text).ok().map(Document::Parsed)
    }

    /// The text at `path`: a string unescaped, anything else as JSON; `None` where there is
    /// nothing, or null.
    pub fn text_at(&self, path: &[String]) -> Option<Cow<'_, str>> {
        let Document::Parsed(root) = self;
        let found = path.iter().try_fold(root, |value, step| match value {
            Value::Object(members) => members.get(step),
            Value::Array(elements) => elements.get(array_index(step, elements.len())?),
            _ => None,
        })?;
        match found {
            Value::Null => None,
            Value::String(text) => Some(Cow::Borrowed(text)),
            other => Some(Cow::Owned(other.to_string())),
        }
    }
}

/// An array step: a decimal number, negative ones counting from the end
/// (`src/backend/utils/adt/jsonfuncs.c`, `get_jsonb_path_all`).
fn array_index(step: &str, length: usize) -> Option<usize> {
    let index: i64 = step.parse().ok()?;
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
        Document::parse(json).unwrap().text_at(&path).map(Cow::into_owned)
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
    fn documents_that_are_no_object_hold_no_keys() {
        for json in ["null", "42", "\"text\"", "[]", "[1, 2]"] {
            assert_eq!(at(json, &["actor"]), None, "{json}");
        }
    }
}
