//! Collects finished rows, flushes them into the target, and sets the rows aside that the server
//! refuses.

mod conflict;
mod isolate;

use super::bulk_extension::BulkExtension;
use super::flush_buffer::{FlushBuffer, RowBuilder};
use super::identity::Identity;
use super::row_scan::RELATION;
use super::target::Target;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::source::{Field, Recheck};
use crate::transform::{BoundMapping, Cell, FinishedRows, OnBadValue, Refusal, RefusedRow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ffi::{CStr, CString};
use std::time::Duration;

/// A further column's value of this size is not kept with a reject: a jsonb holds 256 MB.
const LARGEST_EXTRA: usize = 64 << 20;

/// A row that goes to the table `reject`.
#[derive(Debug)]
pub struct RejectedRow {
    /// The row's index in its chunk.
    pub row: usize,
    /// Microseconds since 2000-01-01.
    pub timestamp: i64,
    pub actor: Option<i64>,
    pub refusal: Refusal,
    pub statement: Option<String>,
    /// The mapping's further source columns: a JSON object of texts.
    pub extra: Option<String>,
    /// Bytes that no text can hold were written as `\xNN`, in the statement or a further column.
    pub altered: bool,
}

/// What becomes of a row whose unique key the target has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It is refused, as any row that breaks a constraint.
    #[default]
    Error,
    /// It is left out, and counted.
    Skip,
}

impl OnConflict {
    /// Reads the word of the `pipeline` table.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "error" => Some(OnConflict::Error),
            "skip" => Some(OnConflict::Skip),
            _ => None,
        }
    }
}

/// What a flush did.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Rows that came, those apart that the target was found to have.
    pub read: u64,
    /// Rows that were inserted, as the server tells.
    pub rows: u64,
    /// Rows whose unique key the target had already, where they are to be skipped.
    pub skipped: u64,
    pub rejects: Vec<RejectedRow>,
    /// Statements whose jsonb the server made.
    pub fallbacks: u64,
    /// Where the rows were held against the target, the times at which that began. Microseconds since
    /// 2000-01-01.
    pub rechecked: Option<Vec<i64>>,
    /// Time spent in making values and filling the buffer.
    pub convert: Duration,
    /// Time spent in INSERT.
    pub insert: Duration,
}

/// Loads rows into one target.
pub struct Loader {
    mapping: BoundMapping,
    target: String,
    builder: RowBuilder,
    extension: BulkExtension,
    sql: CString,
    /// For rows that the target may have.
    sql_missing: Option<CString>,
    /// Whether the statements of this flush return something: see [`Loader::adapts_to`].
    returning: bool,
    on_conflict: OnConflict,
    /// Whether ON CONFLICT tells which rows meet a conflict, as far as is known.
    takes_on_conflict: bool,
    pending: Vec<FinishedRows>,
    bytes: usize,
}

/// The statement for SPI.
///
/// # Errors
/// When a name holds a zero byte, which no catalog name does.
fn statement(sql: impl Into<Vec<u8>>) -> Result<CString, Failure> {
    CString::new(sql).map_err(|_| Failure::internal("a name holds a zero byte"))
}

/// `sql` with a further clause.
///
/// # Errors
/// As [`statement`].
fn followed_by(sql: &CStr, clause: &str) -> Result<CString, Failure> {
    statement([sql.to_bytes(), b" ", clause.as_bytes()].concat())
}

/// A row of the pending chunks: which chunk, which of its finished rows.
type RowRef = (usize, usize);

impl Loader {
    /// `identity` is needed where rows are to be held against the target.
    ///
    /// # Errors
    /// When the mapping names a column that the target does not have.
    pub fn new(
        target: &Target,
        mapping: BoundMapping,
        identity: Option<&Identity>,
        on_conflict: OnConflict,
    ) -> Result<Loader, Failure> {
        let columns = mapping
            .columns()
            .map(|c| {
                target.column(&c.name).ok_or_else(|| {
                    Failure::new("42703", format!("{} lost column \"{}\"", target.sql_name, c.name))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> =
            columns.iter().map(|c| pgrx::spi::quote_identifier(&c.name)).collect();
        let builder = RowBuilder::new(
            columns.into_iter().enumerate().map(|(n, column)| (column, mapping.time_zone(n))),
        )?;
        let (rows, list) = (RELATION.to_string_lossy(), names.join(", "));
        let sql = statement(format!(
            "insert into {} ({list}) select {list} from {rows}",
            target.sql_name
        ))?;
        let missing = |identity: &Identity| {
            statement(identity.insert_missing(&target.sql_name, &rows, &names))
        };
        let sql_missing = identity.map(missing).transpose()?;
        let name = target.sql_name.clone();
        Ok(Loader {
            mapping,
            target: name,
            builder,
            extension: BulkExtension::new(target.oid),
            sql,
            sql_missing,
            returning: false,
            on_conflict,
            takes_on_conflict: !target.may_take_away,
            pending: Vec::new(),
            bytes: 0,
        })
    }

    /// Whether `rows` must not be flushed together with what waits.
    pub fn needs_flush_before(&self, rows: &FinishedRows) -> bool {
        let rechecked = |rows: &FinishedRows| rows.raw.recheck != Recheck::No;
        self.pending.first().is_some_and(|first| rechecked(first) || rechecked(rows))
    }

    /// Whether rows wait for the next flush; they may have no bytes.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Bytes waiting for the next flush.
    pub fn pending_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes rows for the next flush.
    pub fn push(&mut self, rows: FinishedRows) {
        self.bytes += rows.raw.bytes.len();
        self.pending.push(rows);
    }

    /// Drops what waits, after a failure.
    pub fn discard(&mut self) {
        self.pending.clear();
        self.bytes = 0;
    }

    /// Inserts what waits. A row that the server refuses ([`Failure::is_about_a_row`]) is found and set
    /// aside; any other error ends the flush.
    ///
    /// # Errors
    /// [`Failure`] as the server said it, or a bad value whose policy is 'abort'.
    pub fn flush(&mut self) -> Result<Loaded, Failure> {
        let mut pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        self.returning = false;
        let mut loaded = Loaded::default();
        for rows in &pending {
            if let Some(fatal) = &rows.fatal {
                return Err(self.abort(rows, fatal));
            }
            loaded.fallbacks += rows.fallbacks;
            for refused in &rows.rejects {
                loaded.rejects.push(self.rejected(rows, refused));
            }
        }
        loaded.rechecked = match pending.first().map_or(Recheck::No, |rows| rows.raw.recheck) {
            Recheck::No => None,
            Recheck::Begin => {
                let times = pending.iter().flat_map(|p| p.raw.rows.iter().map(|r| r.timestamp));
                let mut times: Vec<i64> = times.collect();
                times.dedup();
                Some(times)
            }
            Recheck::Further => Some(Vec::new()),
        };
        let refs: Vec<RowRef> = pending
            .iter()
            .enumerate()
            .flat_map(|(chunk, rows)| (0..rows.rows.len()).map(move |n| (chunk, n)))
            .collect();
        self.insert(&mut pending, &refs, &mut loaded)?;
        loaded.read = match loaded.rechecked {
            None => pending.iter().map(|rows| rows.raw.rows.len() as u64).sum(),
            Some(_) => {
                // The target has them, as it has those that were found there.
                loaded.skipped = 0;
                loaded.rows + loaded.rejects.len() as u64
            }
        };
        Ok(loaded)
    }

    /// Puts the rows into a buffer, those aside whose values the input functions refuse; returns
    /// the ones that are in.
    fn fill(
        &mut self,
        pending: &mut [FinishedRows],
        refs: &[RowRef],
        loaded: &mut Loaded,
    ) -> Result<(FlushBuffer, Vec<RowRef>), Failure> {
        let mut buffer = self.builder.start();
        let mut inside = Vec::with_capacity(refs.len());
        let mut next = 0;
        while next < refs.len() {
            let builder = &mut self.builder;
            let outcome = Subtransaction::run(|| {
                while let Some(&(chunk, n)) = refs.get(next) {
                    builder.add(&mut buffer, &pending[chunk], n);
                    inside.push((chunk, n));
                    next += 1;
                }
            });
            if let Err(failure) = outcome {
                let (chunk, n) = refs[next];
                if !failure.is_about_a_row() {
                    return Err(failure.during(&format!("make values for {}", self.target)));
                }
                let column = self.builder.column_in_hand();
                let cell = &mut pending[chunk].cells[n * self.mapping.width() + column];
                if self.mapping.policy(column) == OnBadValue::Null && *cell != Cell::Null {
                    // The same row again, without the value.
                    *cell = Cell::Null;
                    continue;
                }
                let name = self.mapping.columns().nth(column).map_or("", |c| c.name.as_str());
                self.refuse(&pending[chunk], n, name, failure, loaded)?;
                next += 1;
            }
        }
        Ok((buffer, inside))
    }

    /// Sets row `n` of `rows` aside, or ends the run where a policy says so.
    fn refuse(
        &self,
        rows: &FinishedRows,
        n: usize,
        column: &str,
        failure: Failure,
        loaded: &mut Loaded,
    ) -> Result<(), Failure> {
        let refused = RefusedRow {
            row: rows.rows[n],
            refusal: Refusal {
                column: column.to_owned(),
                sqlstate: failure.sqlstate,
                message: failure.message,
            },
        };
        let policies = self.mapping.columns().enumerate();
        let abort = policies
            .filter(|(_, c)| column.is_empty() || c.name == column)
            .any(|(n, _)| self.mapping.policy(n) == OnBadValue::Abort);
        if abort {
            return Err(self.abort(rows, &refused));
        }
        loaded.rejects.push(self.rejected(rows, &refused));
        Ok(())
    }

    fn rejected(&self, rows: &FinishedRows, refused: &RefusedRow) -> RejectedRow {
        let row = &rows.raw.rows[refused.row];
        let mut altered = rows.raw.damaged.iter().any(|damage| damage.row == refused.row);
        let mut text = |field: &Field| {
            let (text, exact) = printable(rows.raw.field(field)?);
            altered |= !exact;
            Some(text)
        };
        let statement = text(&row.statement);
        let columns = self.mapping.extra_columns().iter().zip(&row.extra);
        let extra: Map<String, Value> = columns
            // jsonb would not take it; without it, the row is as good as any that lacks the column.
            .filter(|(_, field)| field.as_ref().is_none_or(|f| f.len() < LARGEST_EXTRA))
            .map(|(name, field)| (name.clone(), text(field).map_or(Value::Null, Value::String)))
            .collect();
        RejectedRow {
            row: refused.row,
            timestamp: row.timestamp,
            actor: row.actor,
            refusal: refused.refusal.clone(),
            statement,
            extra: (!row.extra.is_empty()).then(|| Value::Object(extra).to_string()),
            altered,
        }
    }

    fn abort(&self, rows: &FinishedRows, refused: &RefusedRow) -> Failure {
        let Refusal { column, sqlstate, message } = &refused.refusal;
        let message = match column.as_str() {
            "" => format!("bad row: {message}"),
            column => format!("bad value for column \"{column}\": {message}"),
        };
        Failure::new(sqlstate, message)
            .with_detail(format!("Source row with {}.", rows.raw.rows[refused.row].place()))
            .with_hint("on_bad_value is 'abort'; with 'reject' the row goes to lrs_extract.reject and the run continues.")
    }
}

/// The text as it is, bytes that no text column can hold as `\xNN`; and whether there were none.
fn printable(bytes: &[u8]) -> (String, bool) {
    let mut text = String::with_capacity(bytes.len());
    let mut exact = true;
    for chunk in bytes.utf8_chunks() {
        for (n, part) in chunk.valid().split('\0').enumerate() {
            exact &= n == 0;
            text.push_str(if n > 0 { "\\x00" } else { "" });
            text.push_str(part);
        }
        for byte in chunk.invalid() {
            exact = false;
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    (text, exact)
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_rejected_statement_keeps_every_byte_and_says_where_it_is_another() {
        let written = |bytes: &[u8]| printable(bytes);
        assert_eq!(written("한국\0 x".as_bytes()), ("한국\\x00 x".to_owned(), false));
        assert_eq!(written(b"a\xffb"), ("a\\xffb".to_owned(), false));
        assert_eq!(written("한국 \\x00".as_bytes()), ("한국 \\x00".to_owned(), true));
    }
}
