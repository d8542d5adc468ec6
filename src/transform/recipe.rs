//! The mapping applied: one chunk of raw rows to cells.

use super::column::{ColumnKind, TargetColumn};
use super::document::Document;
use super::mapping::{Mapping, MappingError, OnBadValue, Origin};
use super::value::{self, Unfit};
use crate::source::{RawChunk, RawRow};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A value for one column, ready for the load. Offsets point into [`FinishedRows::arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Null,
    /// Microseconds since 2000-01-01.
    TimestampTz(i64),
    /// Sixteen bytes.
    Uuid {
        at: usize,
    },
    /// A complete varlena with its 4-byte header, 8-aligned.
    Varlena {
        at: usize,
    },
    /// Text for the server's input function, with a zero byte after it.
    Input {
        at: usize,
    },
}

/// Why a row cannot go to the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// The row's index in its chunk.
    pub row: usize,
    /// The target column; empty where the row as a whole is meant.
    pub column: String,
    pub sqlstate: String,
    pub message: String,
}

/// A chunk after the transform.
#[derive(Debug, Default)]
pub struct FinishedRows {
    pub raw: RawChunk,
    pub arena: Vec<u8>,
    /// For each row in `rows`, one cell a column, in the recipe's order.
    pub cells: Vec<Cell>,
    /// The raw rows that `cells` are for.
    pub rows: Vec<usize>,
    pub rejects: Vec<BadValue>,
    /// A bad value whose policy is to end the run.
    pub fatal: Option<BadValue>,
}

/// One column of a recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ingredient {
    column: TargetColumn,
    origin: Origin,
    /// For [`Origin::Source`]: which of the row's values.
    source: Option<SourceField>,
    default: Option<String>,
    on_bad_value: OnBadValue,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceField {
    Timestamp,
    Extra(usize),
}

/// A mapping checked against the target: how each column is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recipe {
    ingredients: Vec<Ingredient>,
    extra: Vec<String>,
    needs_document: bool,
}

impl Recipe {
    /// Binds `mapping` to the target's columns.
    ///
    /// `find` gives a target column by name, or why there is none; `timestamp` is the name of the
    /// source's timestamp column, which needs no detour through text.
    ///
    /// # Errors
    /// [`MappingError`] as `find` gives it.
    pub fn new(
        mapping: &Mapping,
        on_bad_value: OnBadValue,
        timestamp: &str,
        find: impl Fn(&str) -> Result<TargetColumn, MappingError>,
    ) -> Result<Recipe, MappingError> {
        let mut extra: Vec<String> = Vec::new();
        let mut ingredients = Vec::new();
        for column in &mapping.columns {
            let target = find(&column.column)?;
            let source = match &column.origin {
                Origin::Source(name)
                    if name == timestamp && target.kind == ColumnKind::TimestampTz =>
                {
                    Some(SourceField::Timestamp)
                }
                Origin::Source(name) => {
                    let known = extra.iter().position(|e| e == name);
                    Some(SourceField::Extra(known.unwrap_or_else(|| {
                        extra.push(name.clone());
                        extra.len() - 1
                    })))
                }
                _ => None,
            };
            ingredients.push(Ingredient {
                column: target,
                origin: column.origin.clone(),
                source,
                default: column.default.clone(),
                on_bad_value: column.on_bad_value.unwrap_or(on_bad_value),
            });
        }
        let needs_document = ingredients.iter().any(|i| matches!(i.origin, Origin::Paths(_)));
        Ok(Recipe { ingredients, extra, needs_document })
    }

    /// The target columns, in the order of the cells.
    pub fn columns(&self) -> impl Iterator<Item = &TargetColumn> {
        self.ingredients.iter().map(|i| &i.column)
    }

    pub fn width(&self) -> usize {
        self.ingredients.len()
    }

    /// The source columns to read as text, besides the walk's own.
    pub fn extra_columns(&self) -> &[String] {
        &self.extra
    }

    /// What becomes of a row whose column `n` the server's input function refuses.
    pub fn policy(&self, n: usize) -> OnBadValue {
        self.ingredients.get(n).map_or(OnBadValue::Reject, |i| i.on_bad_value)
    }

    /// Makes the cells of a chunk. Never fails: what cannot be made is in `rejects` or `fatal`.
    pub fn apply(&self, raw: RawChunk) -> FinishedRows {
        let mut out = FinishedRows {
            arena: Vec::with_capacity(raw.bytes.len() + 64 * raw.rows.len()),
            cells: Vec::with_capacity(raw.rows.len() * self.width()),
            rows: Vec::with_capacity(raw.rows.len()),
            ..FinishedRows::default()
        };
        for (n, row) in raw.rows.iter().enumerate() {
            if let Err((bad, policy)) = self.make_row(&raw, row, &mut out) {
                out.cells.truncate(out.rows.len() * self.width());
                let bad = BadValue { row: n, ..bad };
                if policy == OnBadValue::Abort {
                    out.fatal = Some(bad);
                    break;
                }
                out.rejects.push(bad);
            } else {
                out.rows.push(n);
            }
        }
        out.raw = raw;
        out
    }

    fn make_row(
        &self,
        raw: &RawChunk,
        row: &RawRow,
        out: &mut FinishedRows,
    ) -> Result<(), (BadValue, OnBadValue)> {
        let bytes = raw.field(&row.statement);
        let statement = bytes.map(std::str::from_utf8).transpose();
        let document = match (&statement, self.needs_document) {
            (Ok(Some(text)), true) => Some(Document::parse(text)),
            _ => None,
        };
        for ingredient in &self.ingredients {
            let made = statement
                .as_ref()
                .map_err(|_| not_utf8())
                .and_then(|text| ingredient.text(raw, row, *text, document.as_ref()))
                .and_then(|text| ingredient.cell(row, text, &mut out.arena));
            let cell = match made {
                Ok(cell) => cell,
                Err(_) if ingredient.on_bad_value == OnBadValue::Null => Cell::Null,
                Err(unfit) => {
                    let bad = BadValue {
                        row: 0,
                        column: ingredient.column.name.clone(),
                        sqlstate: unfit.sqlstate.to_owned(),
                        message: unfit.message,
                    };
                    return Err((bad, ingredient.on_bad_value));
                }
            };
            out.cells.push(cell);
        }
        Ok(())
    }
}

fn not_utf8() -> Unfit {
    Unfit { sqlstate: "22021", message: "the source sent text that is no UTF-8".into() }
}

impl Ingredient {
    /// The value as text, the default applied.
    fn text<'a>(
        &'a self,
        raw: &'a RawChunk,
        row: &RawRow,
        statement: Option<&'a str>,
        document: Option<&'a Option<Document>>,
    ) -> Result<Option<Cow<'a, str>>, Unfit> {
        let found = match &self.origin {
            Origin::Statement => statement.map(Cow::Borrowed),
            Origin::Const(text) => text.as_deref().map(Cow::Borrowed),
            Origin::Source(_) => match self.source {
                Some(SourceField::Extra(n)) => row
                    .extra
                    .get(n)
                    .and_then(|field| raw.field(field))
                    .map(|bytes| std::str::from_utf8(bytes).map(Cow::Borrowed))
                    .transpose()
                    .map_err(|_| not_utf8())?,
                Some(SourceField::Timestamp) | None => None,
            },
            Origin::Paths(paths) => match document {
                None => None,
                Some(None) => {
                    return Err(Unfit {
                        sqlstate: "22P02",
                        message: "invalid input syntax for type json".into(),
                    });
                }
                Some(Some(document)) => paths.iter().find_map(|path| document.text_at(path)),
            },
        };
        Ok(found.or_else(|| self.default.as_deref().map(Cow::Borrowed)))
    }

    fn cell(
        &self,
        row: &RawRow,
        text: Option<Cow<'_, str>>,
        arena: &mut Vec<u8>,
    ) -> Result<Cell, Unfit> {
        if let Some(SourceField::Timestamp) = self.source {
            return Ok(Cell::TimestampTz(row.timestamp));
        }
        let Some(text) = text else { return Ok(Cell::Null) };
        match self.column.kind {
            ColumnKind::Uuid => {
                let value = value::uuid(&text)?;
                let at = arena.len();
                arena.extend_from_slice(&value);
                Ok(Cell::Uuid { at })
            }
            ColumnKind::Text { max_chars } => {
                let text = value::text(&text, max_chars)?;
                Ok(Cell::Varlena { at: push_varlena(arena, text.as_bytes())? })
            }
            ColumnKind::TimestampTz | ColumnKind::Other => {
                let text = value::text(&text, None)?;
                let at = arena.len();
                arena.extend_from_slice(text.as_bytes());
                arena.push(0);
                Ok(Cell::Input { at })
            }
        }
    }
}

/// The longest varlena: 30 bits of length, the header's 4 bytes included.
const MOST_VARLENA_BYTES: usize = (1 << 30) - 1;

/// Appends an uncompressed varlena with a 4-byte header (`src/include/varatt.h`), 8-aligned.
fn push_varlena(arena: &mut Vec<u8>, payload: &[u8]) -> Result<usize, Unfit> {
    let length = payload.len() + 4;
    if length > MOST_VARLENA_BYTES {
        return Err(Unfit { sqlstate: "54000", message: "the value is larger than 1 GB".into() });
    }
    let at = arena.len().next_multiple_of(8);
    arena.resize(at, 0);
    let header = length as u32;
    let header = if cfg!(target_endian = "little") { header << 2 } else { header };
    arena.extend_from_slice(&header.to_ne_bytes());
    arena.extend_from_slice(payload);
    Ok(at)
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
