//! The mapping applied: one chunk of raw rows to cells.

mod column_value;

use super::column::{ColumnKind, TargetColumn};
use super::json::Tape;
use super::jsonb::Encoder;
use super::mapping::{Mapping, MappingError, OnBadValue, Origin};
use super::refusal::Refusal;
use super::statement::Statement;
use super::toast::{self, TUPLE_THRESHOLD, Toaster};
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
    /// The same of a timestamptz, whose value is a time of the session's clock.
    Local {
        at: usize,
    },
}

/// A row of a chunk that cannot go to the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// The row's index in its chunk.
    pub row: usize,
    pub refusal: Refusal,
}

/// A chunk after the transform.
#[derive(Debug, Default)]
pub struct FinishedRows {
    pub raw: RawChunk,
    pub arena: Vec<u8>,
    /// For each row in `rows`, one cell a column, in the mapping's order.
    pub cells: Vec<Cell>,
    /// The raw rows that `cells` are for.
    pub rows: Vec<usize>,
    pub rejects: Vec<RefusedRow>,
    /// A bad value whose policy is to end the run.
    pub fatal: Option<RefusedRow>,
    /// Statements whose jsonb was left to the server.
    pub fallbacks: u64,
}

/// What a transform thread keeps from row to row.
pub struct TransformState {
    tape: Tape,
    encoder: Encoder,
    /// For each column of the mapping, where it compresses.
    toasters: Vec<Option<Toaster>>,
}

/// One column of a bound mapping.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct BoundColumn {
    target: TargetColumn,
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
pub struct BoundMapping {
    columns: Vec<BoundColumn>,
    extra: Vec<String>,
    needs_document: bool,
    /// The major version of the stage: the form of compressed values depends on it.
    server_major: u32,
    /// Of times in statements that have no zone and go into a timestamptz.
    time_zone: String,
}

impl BoundMapping {
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
        server_major: u32,
        find: impl Fn(&str) -> Result<TargetColumn, MappingError>,
    ) -> Result<BoundMapping, MappingError> {
        let mut extra: Vec<String> = Vec::new();
        let mut columns = Vec::new();
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
            columns.push(BoundColumn {
                target,
                origin: column.origin.clone(),
                source,
                default: column.default.clone(),
                on_bad_value: column.on_bad_value.unwrap_or(on_bad_value),
            });
        }
        let needs_document =
            columns.iter().any(|i| matches!(i.origin, Origin::Paths(_)) || i.is_whole_jsonb());
        let time_zone = "UTC".to_owned();
        Ok(BoundMapping { columns, extra, needs_document, server_major, time_zone })
    }

    /// The same, with times that have no zone in this one; without it, in UTC.
    pub fn in_time_zone(self, time_zone: &str) -> BoundMapping {
        BoundMapping { time_zone: time_zone.to_owned(), ..self }
    }

    /// The time zone of column `n`'s texts that have none, as the server names it; `None`: the session's,
    /// as for any cast.
    pub fn time_zone(&self, n: usize) -> Option<&str> {
        let column = self.columns.get(n)?;
        matches!(column.origin, Origin::Paths(_)).then_some(&*self.time_zone)
    }

    /// The target columns, in the order of the cells.
    pub fn columns(&self) -> impl Iterator<Item = &TargetColumn> {
        self.columns.iter().map(|c| &c.target)
    }

    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The source columns to read as text, besides the walk's own.
    pub fn extra_columns(&self) -> &[String] {
        &self.extra
    }

    /// What becomes of a row whose column `n` the server's input function refuses.
    pub fn policy(&self, n: usize) -> OnBadValue {
        self.columns.get(n).map_or(OnBadValue::Reject, |i| i.on_bad_value)
    }

    /// What becomes of a row of which the source gives the key alone.
    fn policy_of_rows(&self) -> OnBadValue {
        let abort = self.columns.iter().any(|c| c.on_bad_value == OnBadValue::Abort);
        if abort { OnBadValue::Abort } else { OnBadValue::Reject }
    }

    /// What a thread that applies the mapping keeps from row to row.
    pub fn state(&self) -> TransformState {
        let toasters = self.columns.iter().map(|c| match c.target.kind {
            ColumnKind::Jsonb { compression: Some(method) } => {
                Toaster::new(method, self.server_major).ok()
            }
            _ => None,
        });
        TransformState { tape: Tape::new(), encoder: Encoder::new(), toasters: toasters.collect() }
    }

    /// Makes the cells of a chunk. Never fails: what cannot be made is in `rejects` or `fatal`.
    pub fn apply(&self, raw: RawChunk, state: &mut TransformState) -> FinishedRows {
        let mut out = FinishedRows {
            arena: Vec::with_capacity(raw.bytes.len() + 64 * raw.rows.len()),
            cells: Vec::with_capacity(raw.rows.len() * self.width()),
            rows: Vec::with_capacity(raw.rows.len()),
            ..FinishedRows::default()
        };
        let mut damaged = raw.damaged.iter().peekable();
        for (n, row) in raw.rows.iter().enumerate() {
            let made = match damaged.next_if(|damage| damage.row == n) {
                Some(damage) => Err((Refusal::of(damage), self.policy_of_rows())),
                None => self.make_row(&raw, row, state, &mut out),
            };
            if let Err((refusal, policy)) = made {
                out.cells.truncate(out.rows.len() * self.width());
                let refused = RefusedRow { row: n, refusal };
                if policy == OnBadValue::Abort {
                    out.fatal = Some(refused);
                    break;
                }
                out.rejects.push(refused);
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
        state: &mut TransformState,
        out: &mut FinishedRows,
    ) -> Result<(), (Refusal, OnBadValue)> {
        let TransformState { tape, encoder, toasters } = state;
        let statement = Statement::read(raw.field(&row.statement), tape, self.needs_document);
        let first = out.cells.len();
        // The statement's own column comes last: whether it is compressed depends on the size of
        // the others.
        let mut tuple_size = TUPLE_HEADER;
        for column in &self.columns {
            if column.is_whole_jsonb() {
                out.cells.push(Cell::Null);
                continue;
            }
            let made = column
                .text(raw, row, &statement)
                .and_then(|text| column.cell(row, text, &mut out.arena));
            let cell = column.settle(made)?;
            tuple_size += size_of_cell(cell, &out.arena);
            out.cells.push(cell);
        }
        for (n, column) in self.columns.iter().enumerate() {
            if !column.is_whole_jsonb() {
                continue;
            }
            let made = match &statement {
                Statement::Fast(document) => {
                    let content = encoder.encode(*document);
                    let toasted = tuple_size + content.len() + 4 > TUPLE_THRESHOLD;
                    let toaster = toasters[n].as_mut().filter(|_| toasted);
                    Ok(push_jsonb(content, toaster, &mut out.arena))
                }
                other => {
                    out.fallbacks += 1;
                    other.text().and_then(|text| {
                        let text = text.or(column.default.as_deref());
                        column.cell(row, text.map(Cow::Borrowed), &mut out.arena)
                    })
                }
            };
            let cell = column.settle(made)?;
            tuple_size += size_of_cell(cell, &out.arena);
            out.cells[first + n] = cell;
        }
        Ok(())
    }
}

/// The least that a tuple's header takes (`src/include/access/htup_details.h`).
const TUPLE_HEADER: usize = 24;

/// What a cell adds to its tuple, at least.
fn size_of_cell(cell: Cell, arena: &[u8]) -> usize {
    match cell {
        Cell::Null | Cell::Input { .. } | Cell::Local { .. } => 0,
        Cell::TimestampTz(_) => 8,
        Cell::Uuid { .. } => 16,
        Cell::Varlena { at } => {
            let header = arena.get(at..at + 4).and_then(|h| h.try_into().ok());
            let length = header.map_or(0, |h| u32::from_le_bytes(h) as usize >> 2);
            // Up to 126 bytes of content get a header of one byte when they are stored.
            if length <= 126 + 4 { length.saturating_sub(3) } else { length }
        }
    }
}

/// Appends a jsonb datum, 8-aligned; compressed where a toaster is given and finds it worth it.
fn push_jsonb(content: &[u8], toaster: Option<&mut Toaster>, arena: &mut Vec<u8>) -> Cell {
    let at = arena.len().next_multiple_of(8);
    arena.resize(at, 0);
    match toaster {
        Some(toaster) => toaster.compressed(content, arena),
        None => toast::plain(content, arena),
    };
    Cell::Varlena { at }
}

#[cfg(test)]
#[path = "bound_mapping_tests.rs"]
mod tests;
