//! One column's value of one row: found, fitted to its type, and settled where it does not fit.

use super::{BoundColumn, Cell, SourceField};
use crate::source::{RawChunk, RawRow};
use crate::transform::column::ColumnKind;
use crate::transform::mapping::{OnBadValue, Origin};
use crate::transform::refusal::Refusal;
use crate::transform::statement::{Statement, not_utf8};
use crate::transform::toast;
use crate::transform::value::{self, Unfit};
use std::borrow::Cow;

impl BoundColumn {
    /// Whether the column takes the whole statement as jsonb made here.
    pub(super) fn is_whole_jsonb(&self) -> bool {
        self.origin == Origin::Statement && matches!(self.target.kind, ColumnKind::Jsonb { .. })
    }

    /// Applies the policy to a value that could not be made.
    pub(super) fn settle(&self, made: Result<Cell, Unfit>) -> Result<Cell, (Refusal, OnBadValue)> {
        match made {
            Ok(cell) => Ok(cell),
            Err(_) if self.on_bad_value == OnBadValue::Null => Ok(Cell::Null),
            Err(unfit) => {
                let refusal = Refusal {
                    column: self.target.name.clone(),
                    sqlstate: unfit.sqlstate.to_owned(),
                    message: unfit.message,
                };
                Err((refusal, self.on_bad_value))
            }
        }
    }

    /// The value as text, the default applied.
    pub(super) fn text<'a>(
        &'a self,
        raw: &'a RawChunk,
        row: &RawRow,
        statement: &'a Statement<'a>,
    ) -> Result<Option<Cow<'a, str>>, Unfit> {
        let as_json = matches!(self.target.kind, ColumnKind::Json | ColumnKind::Jsonb { .. });
        let found = match &self.origin {
            Origin::Statement => statement.text()?.map(Cow::Borrowed),
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
            Origin::Paths(paths) => statement.first_of(paths, as_json)?,
        };
        if let (Some(text), Origin::Paths(_)) = (&found, &self.origin)
            && matches!(self.target.kind, ColumnKind::TimestampTz | ColumnKind::Local)
        {
            value::check_time(text)?;
        }
        Ok(found.or_else(|| self.default.as_deref().map(Cow::Borrowed)))
    }

    pub(super) fn cell(
        &self,
        row: &RawRow,
        text: Option<Cow<'_, str>>,
        arena: &mut Vec<u8>,
    ) -> Result<Cell, Unfit> {
        if let Some(SourceField::Timestamp) = self.source {
            return Ok(Cell::TimestampTz(row.timestamp));
        }
        let Some(text) = text else { return Ok(Cell::Null) };
        match self.target.kind {
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
            ColumnKind::TimestampTz
            | ColumnKind::Local
            | ColumnKind::Json
            | ColumnKind::Jsonb { .. }
            | ColumnKind::Other => {
                let text = value::text(&text, None)?;
                let at = arena.len();
                arena.extend_from_slice(text.as_bytes());
                arena.push(0);
                if self.target.kind == ColumnKind::Local
                    && self.source.is_some()
                    && value::is_instant(text)
                {
                    return Ok(Cell::Local { at });
                }
                Ok(Cell::Input { at })
            }
        }
    }
}

/// Appends an uncompressed varlena with a 4-byte header (`src/include/varatt.h`), 8-aligned.
fn push_varlena(arena: &mut Vec<u8>, payload: &[u8]) -> Result<usize, Unfit> {
    if payload.len() > toast::MAX_CONTENT {
        return Err(Unfit { sqlstate: "54000", message: "the value is larger than 1 GB".into() });
    }
    let at = arena.len().next_multiple_of(8);
    arena.resize(at, 0);
    toast::plain(payload, arena);
    Ok(at)
}
