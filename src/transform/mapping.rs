//! The mapping of a pipeline: target column → where its value comes from.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What becomes of a row with a value that its column cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadValue {
    /// The row goes whole to the table `reject`.
    Reject,
    /// The column becomes null.
    Null,
    /// The run ends.
    Abort,
}

impl OnBadValue {
    /// Reads the word of the `pipeline` table.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "reject" => Some(OnBadValue::Reject),
            "null" => Some(OnBadValue::Null),
            "abort" => Some(OnBadValue::Abort),
            _ => None,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The first of these paths that holds anything but null, as text (`#>>`).
    Paths(Vec<Vec<String>>),
    /// A column of the source.
    Source(String),
    /// The whole statement.
    Statement,
    /// The same text in every row, or null.
    Const(Option<String>),
}

/// One column of the mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMapping {
    pub column: String,
    pub origin: Origin,
    /// Stands in where the origin yields null.
    pub default: Option<String>,
    /// Overrides the pipeline's own.
    pub on_bad_value: Option<OnBadValue>,
}

/// A mapping, its columns in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    pub columns: Vec<ColumnMapping>,
}

/// A mapping that cannot be used, in words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MappingError {
    #[error("the mapping is no JSON object of columns: {0}")]
    Shape(String),
    #[error("the mapping of column \"{column}\" is invalid: {reason}")]
    Column { column: String, reason: String },
    #[error("the mapping names column \"{column}\", which {target} does not have")]
    NoSuchColumn { column: String, target: String },
    #[error("the mapping names column \"{column}\" of {target}, which takes no value: {reason}")]
    NotInsertable { column: String, target: String, reason: &'static str },
    #[error("the mapping names no column")]
    Empty,
}

/// A column's entry as it is written. Unknown keys are refused: a misspelt one would be silence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    path: Option<Vec<Step>>,
    first_of: Option<Vec<Vec<Step>>>,
    source: Option<String>,
    statement: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    r#const: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    default: Option<Value>,
    on_bad_value: Option<OnBadValue>,
}

/// A step of a path: a key, or the index of an array element.
#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Key(String),
    Index(i64),
}

impl Step {
    fn into_text(self) -> String {
        match self {
            Step::Key(key) => key,
            Step::Index(index) => index.to_string(),
        }
    }
}

/// Distinguishes `"const": null` from no `const` at all.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

impl Mapping {
    /// Reads a mapping from its JSON text.
    ///
    /// # Errors
    /// [`MappingError`] naming the column and what is wrong with it.
    pub fn parse(json: &str) -> Result<Mapping, MappingError> {
        let written: BTreeMap<String, Value> =
            serde_json::from_str(json).map_err(|e| MappingError::Shape(e.to_string()))?;
        if written.is_empty() {
            return Err(MappingError::Empty);
        }
        let columns = written
            .into_iter()
            .map(|(column, value)| {
                read_column(&column, value)
                    .map_err(|reason| MappingError::Column { column, reason })
            })
            .collect::<Result<_, _>>()?;
        Ok(Mapping { columns })
    }

    /// The columns that hold the statement's value at `path`, whatever stands in where it is missing.
    pub fn filled_from_path(&self, path: &[&str]) -> impl Iterator<Item = &ColumnMapping> {
        let origin = Origin::Paths(vec![path.iter().map(|step| (*step).to_owned()).collect()]);
        self.columns.iter().filter(move |c| c.origin == origin)
    }

    /// The columns that hold the source's column of that name.
    pub fn filled_from_source(&self, name: &str) -> impl Iterator<Item = &ColumnMapping> {
        self.columns.iter().filter(move |c| matches!(&c.origin, Origin::Source(n) if n == name))
    }

    /// The source columns that the mapping asks for, besides those the walk reads anyway.
    pub fn source_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|c| match &c.origin {
            Origin::Source(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// The keys of an entry, and what each may be.
const KEYS: [(&str, &str); 7] = [
    ("path", r#"an array of keys and indexes, such as ["actor", "mbox"]"#),
    ("first_of", r#"an array of paths, such as [["actor", "mbox"], ["actor", "openid"]]"#),
    ("source", r#"the name of a column of the source, such as "timestamp""#),
    ("statement", "true"),
    ("const", "a text, a number or null"),
    ("default", "a text, a number or null"),
    ("on_bad_value", r#""reject", "null" or "abort""#),
];

/// Says what is wrong with an entry that cannot be read: what was written, and what may be.
fn complaint(value: &Value) -> String {
    let Value::Object(entries) = value else {
        return format!(r#"{value} is no object; write an origin, such as {{"path": ["id"]}}"#);
    };
    for (key, written) in entries {
        let Some((_, expected)) = KEYS.iter().find(|(known, _)| known == key) else {
            let known = KEYS.map(|(key, _)| key).join(", ");
            return format!("\"{key}\" is no key of it; the keys are {known}");
        };
        let alone = Value::Object([(key.clone(), written.clone())].into_iter().collect());
        if serde_json::from_value::<Written>(alone).is_err() {
            return format!("{key} is {written}, and must be {expected}");
        }
    }
    "it cannot be read".into()
}

fn read_column(column: &str, value: Value) -> Result<ColumnMapping, String> {
    let written: Written = serde_json::from_value(value.clone()).map_err(|_| complaint(&value))?;
    let all_paths = written.path.iter().chain(written.first_of.iter().flatten());
    if all_paths.into_iter().any(Vec::is_empty) {
        return Err(
            r#"a path needs at least one key; {"statement": true} is the whole statement"#.into()
        );
    }
    let paths = |paths: Vec<Vec<Step>>| -> Vec<Vec<String>> {
        paths.into_iter().map(|p| p.into_iter().map(Step::into_text).collect()).collect()
    };
    let mut origins = Vec::new();
    if let Some(path) = written.path {
        origins.push(Origin::Paths(paths(vec![path])));
    }
    if let Some(list) = written.first_of {
        if list.is_empty() {
            return Err("first_of needs at least one path".into());
        }
        origins.push(Origin::Paths(paths(list)));
    }
    if let Some(source) = written.source {
        origins.push(Origin::Source(source));
    }
    match written.statement {
        Some(true) => origins.push(Origin::Statement),
        Some(false) => return Err("statement can only be true".into()),
        None => {}
    }
    if let Some(value) = written.r#const {
        origins.push(Origin::Const(text_of(value)));
    }
    let origin = match <[Origin; 1]>::try_from(origins) {
        Ok([origin]) => origin,
        Err(_) => {
            return Err("it needs exactly one of path, first_of, source, statement, const".into());
        }
    };
    Ok(ColumnMapping {
        column: column.to_owned(),
        origin,
        default: written.default.and_then(text_of),
        on_bad_value: written.on_bad_value,
    })
}

/// A JSON value as text, the way `#>>` gives it.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Result<ColumnMapping, MappingError> {
        Mapping::parse(&format!(r#"{{"c": {json}}}"#)).map(|m| m.columns[0].clone())
    }

    #[test]
    fn each_kind_of_origin_is_read() {
        let path = |p: &[&str]| p.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            one(r#"{"path": ["actor", "mbox"]}"#).unwrap().origin,
            Origin::Paths(vec![path(&["actor", "mbox"])])
        );
        assert_eq!(
            one(r#"{"first_of": [["a"], ["b", 0]]}"#).unwrap().origin,
            Origin::Paths(vec![path(&["a"]), path(&["b", "0"])])
        );
        assert_eq!(
            one(r#"{"source": "timestamp"}"#).unwrap().origin,
            Origin::Source("timestamp".into())
        );
        assert_eq!(one(r#"{"statement": true}"#).unwrap().origin, Origin::Statement);
        assert_eq!(one(r#"{"const": null}"#).unwrap().origin, Origin::Const(None));
        assert_eq!(one(r#"{"const": 7.50}"#).unwrap().origin, Origin::Const(Some("7.50".into())));
    }

    #[test]
    fn columns_are_found_by_what_fills_them() {
        let mapping = Mapping::parse(
            r#"{"a": {"path": ["id"]}, "b": {"first_of": [["id"], ["x"]]}, "c": {"path": ["id", "x"]},
                "d": {"source": "at"}, "e": {"const": "id"}, "f": {"first_of": [["id"]]}}"#,
        );
        let mapping = mapping.unwrap();
        let named = |columns: Vec<&ColumnMapping>| -> Vec<String> {
            columns.iter().map(|c| c.column.clone()).collect()
        };
        assert_eq!(named(mapping.filled_from_path(&["id"]).collect()), ["a", "f"]);
        assert_eq!(named(mapping.filled_from_source("at").collect()), ["d"]);
        assert_eq!(mapping.filled_from_source("a").count(), 0);
    }

    #[test]
    fn defaults_and_policies_are_read() {
        let column = one(r#"{"path": ["x"], "default": "A", "on_bad_value": "null"}"#).unwrap();
        assert_eq!(column.default.as_deref(), Some("A"));
        assert_eq!(column.on_bad_value, Some(OnBadValue::Null));
    }

    #[test]
    fn a_complaint_says_what_was_written_and_what_may_be() {
        let complaint = |json: &str| one(json).unwrap_err().to_string();
        for (json, said) in [
            (r#""id""#, r#""id" is no object; write an origin, such as {"path": ["id"]}"#),
            (r#"{"path": "id"}"#, r#"path is "id", and must be an array of keys and indexes"#),
            (
                r#"{"path": ["id"], "on_bad_value": 1}"#,
                r#"on_bad_value is 1, and must be "reject""#,
            ),
            (r#"{"paht": ["id"]}"#, r#""paht" is no key of it; the keys are path, first_of"#),
            (r#"{"path": []}"#, "a path needs at least one key"),
        ] {
            assert!(complaint(json).contains(said), "{json}: {}", complaint(json));
        }
    }

    #[test]
    fn what_is_unknown_or_ambiguous_is_refused_with_the_column() {
        for bad in [
            r#"{"path": ["x"], "pathh": ["y"]}"#,
            r#"{"path": ["x"], "first_of": [["y"]]}"#,
            r#"{"path": "x"}"#,
            r#"{}"#,
            r#"{"default": "x"}"#,
            r#"{"statement": false}"#,
            r#"{"first_of": []}"#,
            r#"{"path": ["x"], "on_bad_value": "ignore"}"#,
            r#""id""#,
            r#"{"path": []}"#,
            r#"{"first_of": [["id"], []]}"#,
        ] {
            let refused = one(bad);
            assert!(
                matches!(&refused, Err(MappingError::Column { column, .. }) if column == "c"),
                "{bad}: {refused:?}"
            );
        }
        assert!(matches!(Mapping::parse("[]"), Err(MappingError::Shape(_))));
        assert_eq!(Mapping::parse("{}"), Err(MappingError::Empty));
    }
}
