//! What the transform needs to know of a target column.

use super::toast::Method;
use serde::{Deserialize, Serialize};

/// A column of the target, as its catalog has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetColumn {
    pub name: String,
    pub kind: ColumnKind,
}

/// How a value for the column is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    Uuid,
    /// text, or varchar with its limit in characters.
    Text {
        max_chars: Option<u32>,
    },
    TimestampTz,
    /// timestamp, date or time: what of an instant the session's clock shows.
    Local,
    /// jsonb, made here; compressed here too where the column asks for it.
    Jsonb {
        compression: Option<Method>,
    },
    /// json, or jsonb made by the server: a path gives the JSON value, not its text.
    Json,
    /// Everything else: the server's input function makes it from text.
    Other,
}
