//! A row's statement, read once: by the fast reader, or where that has doubts by serde_json.

use super::document;
use super::json;
use super::value::Unfit;
use serde_json::Value;
use std::borrow::Cow;

/// What reading a statement gave.
pub enum Statement<'t> {
    /// The source's column is null.
    Null,
    /// No field is wanted: the text alone.
    Text(&'t str),
    Fast(json::Document<'t>),
    /// Left to the server's own reader; fields from serde_json, if it is JSON at all.
    Slow(&'t str, Option<Value>),
    NotUtf8,
}

impl<'t> Statement<'t> {
    /// Reads the bytes of a statement; `parse` says whether anything but the text is wanted.
    pub fn read(bytes: Option<&'t [u8]>, tape: &'t mut json::Tape, parse: bool) -> Self {
        let Some(bytes) = bytes else { return Statement::Null };
        if parse && let Ok(document) = tape.parse(bytes) {
            return Statement::Fast(document);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if parse => Statement::Slow(text, document::parse(text)),
            Ok(text) => Statement::Text(text),
            Err(_) => Statement::NotUtf8,
        }
    }

    /// The whole statement's text; `None` where it is null.
    ///
    /// # Errors
    /// [`Unfit`] where it is no text.
    pub fn text(&self) -> Result<Option<&'t str>, Unfit> {
        match self {
            Statement::Null => Ok(None),
            Statement::Text(text) | Statement::Slow(text, _) => Ok(Some(text)),
            Statement::Fast(document) => Ok(Some(document.text())),
            Statement::NotUtf8 => Err(not_utf8()),
        }
    }

    /// The first of `paths` that holds anything but null: as text (`#>>`), or as JSON.
    ///
    /// # Errors
    /// [`Unfit`] where the statement is no text, or no JSON.
    pub fn first_of(
        &self,
        paths: &[Vec<String>],
        as_json: bool,
    ) -> Result<Option<Cow<'_, str>>, Unfit> {
        match self {
            Statement::Null | Statement::Text(_) => Ok(None),
            Statement::NotUtf8 => Err(not_utf8()),
            Statement::Fast(document) => {
                Ok(paths.iter().find_map(|path| fast(*document, path, as_json)))
            }
            Statement::Slow(_, Some(root)) => Ok(paths
                .iter()
                .find_map(|path| document::value_at(root, path))
                .map(|value| match as_json {
                    true => Cow::Owned(document::json_of(value)),
                    false => document::text_of(value),
                })),
            Statement::Slow(_, None) => Err(Unfit {
                sqlstate: "22P02",
                message: "invalid input syntax for type json".into(),
            }),
        }
    }
}

fn fast<'t>(document: json::Document<'t>, path: &[String], as_json: bool) -> Option<Cow<'t, str>> {
    let node = document.lookup(path)?;
    let text = node.text()?;
    if as_json && node.kind() == json::Kind::String {
        return Some(Cow::Owned(Value::String(text.into_owned()).to_string()));
    }
    Some(text)
}

pub fn not_utf8() -> Unfit {
    Unfit { sqlstate: "22021", message: "the source sent text that is no UTF-8".into() }
}
