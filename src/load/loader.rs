//! Collects finished rows, flushes them into the target, and isolates the rows that the server
//! refuses.

use super::batch::{BatchShape, insert_statement};
use super::target::Target;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::source::Field;
use crate::transform::{BadValue, Cell, FinishedRows, OnBadValue, Recipe};
use serde_json::{Map, Value};
use std::ffi::CString;
use std::time::{Duration, Instant};

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
    pub column: String,
    pub sqlstate: String,
    pub message: String,
    pub statement: Option<String>,
    /// The mapping's further source columns: a JSON object of texts.
    pub extra: Option<String>,
    /// Bytes that no text can hold were written as `\xNN`, in the statement or a further column.
    pub altered: bool,
}

/// What a flush did.
#[derive(Debug, Default)]
pub struct Loaded {
    pub rows: u64,
    pub rejects: Vec<RejectedRow>,
    /// Statements whose jsonb the server made.
    pub fallbacks: u64,
    /// Time spent in making values and filling the batch.
    pub convert: Duration,
    /// Time spent in INSERT.
    pub insert: Duration,
}

/// Loads rows into one target.
pub struct Loader {
    recipe: Recipe,
    target: String,
    shape: BatchShape,
    sql: CString,
    pending: Vec<FinishedRows>,
    bytes: usize,
}

/// A row of the pending chunks: which chunk, which of its finished rows.
type Place = (usize, usize);

impl Loader {
    /// # Errors
    /// When the recipe names a column that the target does not have.
    pub fn new(target: &Target, recipe: Recipe) -> Result<Loader, Failure> {
        let columns = recipe
            .columns()
            .map(|c| {
                target.column(&c.name).ok_or_else(|| {
                    Failure::new("42703", format!("{} lost column \"{}\"", target.sql_name, c.name))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let sql = insert_statement(target, columns.iter().map(|c| c.name.as_str()))?;
        let shape = BatchShape::new(columns.into_iter())?;
        let name = target.sql_name.clone();
        Ok(Loader { recipe, target: name, shape, sql, pending: Vec::new(), bytes: 0 })
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

    /// Inserts what waits. A row whose value the server refuses (SQLSTATE class 22, 23, 44 or 54) is
    /// found and set aside; any other error ends the flush.
    ///
    /// # Errors
    /// [`Failure`] as the server said it, or a bad value whose policy is 'abort'.
    pub fn flush(&mut self) -> Result<Loaded, Failure> {
        let mut pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        let mut loaded = Loaded::default();
        for rows in &pending {
            if let Some(fatal) = &rows.fatal {
                return Err(self.abort(rows, fatal));
            }
            loaded.fallbacks += rows.fallbacks;
            for bad in &rows.rejects {
                loaded.rejects.push(self.rejected(rows, bad));
            }
        }
        let places: Vec<Place> = pending
            .iter()
            .enumerate()
            .flat_map(|(chunk, rows)| (0..rows.rows.len()).map(move |n| (chunk, n)))
            .collect();
        self.insert(&mut pending, &places, &mut loaded)?;
        Ok(loaded)
    }

    /// Inserts the rows at `places`; where a constraint refuses the statement, the two halves on
    /// their own, down to the row.
    fn insert(
        &mut self,
        pending: &mut [FinishedRows],
        places: &[Place],
        loaded: &mut Loaded,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let (batch, places) = self.fill(pending, places, loaded)?;
        loaded.convert += begun.elapsed();
        if places.is_empty() {
            return Ok(());
        }
        let (shape, sql) = (&mut self.shape, &self.sql);
        let begun = Instant::now();
        let outcome = Subtransaction::run(|| shape.insert(&batch, sql));
        loaded.insert += begun.elapsed();
        let failure = match outcome {
            Ok(rows) => {
                loaded.rows += rows;
                return Ok(());
            }
            Err(failure) => failure,
        };
        if !failure.is_about_a_row() {
            return Err(failure.during(&format!("insert into {}", self.target)));
        }
        if let [(chunk, n)] = places[..] {
            return self.refuse(&pending[chunk], n, "", failure, loaded);
        }
        let (first, second) = places.split_at(places.len() / 2);
        self.insert(pending, first, loaded)?;
        self.insert(pending, second, loaded)
    }

    /// Puts the rows into a batch, those aside whose values the input functions refuse; returns
    /// the ones that are in.
    fn fill(
        &mut self,
        pending: &mut [FinishedRows],
        places: &[Place],
        loaded: &mut Loaded,
    ) -> Result<(super::batch::Batch, Vec<Place>), Failure> {
        let mut batch = self.shape.start();
        let mut inside = Vec::with_capacity(places.len());
        let mut next = 0;
        while next < places.len() {
            let shape = &mut self.shape;
            let outcome = Subtransaction::run(|| {
                while let Some(&(chunk, n)) = places.get(next) {
                    shape.add(&mut batch, &pending[chunk], n);
                    inside.push((chunk, n));
                    next += 1;
                }
            });
            if let Err(failure) = outcome {
                let (chunk, n) = places[next];
                if !failure.is_about_a_row() {
                    return Err(failure.during(&format!("make values for {}", self.target)));
                }
                let column = self.shape.column_in_hand();
                let cell = &mut pending[chunk].cells[n * self.recipe.width() + column];
                if self.recipe.policy(column) == OnBadValue::Null && *cell != Cell::Null {
                    // The same row again, without the value.
                    *cell = Cell::Null;
                    continue;
                }
                let name = self.recipe.columns().nth(column).map_or("", |c| c.name.as_str());
                self.refuse(&pending[chunk], n, name, failure, loaded)?;
                next += 1;
            }
        }
        Ok((batch, inside))
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
        let bad = BadValue {
            row: rows.rows[n],
            column: column.to_owned(),
            sqlstate: failure.sqlstate,
            message: failure.message,
        };
        let policies = self.recipe.columns().enumerate();
        let abort = policies
            .filter(|(_, c)| column.is_empty() || c.name == column)
            .any(|(n, _)| self.recipe.policy(n) == OnBadValue::Abort);
        if abort {
            return Err(self.abort(rows, &bad));
        }
        loaded.rejects.push(self.rejected(rows, &bad));
        Ok(())
    }

    fn rejected(&self, rows: &FinishedRows, bad: &BadValue) -> RejectedRow {
        let row = &rows.raw.rows[bad.row];
        let mut altered = false;
        let mut text = |field: &Field| {
            let (text, exact) = printable(rows.raw.field(field)?);
            altered |= !exact;
            Some(text)
        };
        let statement = text(&row.statement);
        let columns = self.recipe.extra_columns().iter().zip(&row.extra);
        let extra: Map<String, Value> = columns
            // jsonb would not take it; without it, the row is as good as any that lacks the column.
            .filter(|(_, field)| field.as_ref().is_none_or(|f| f.len() < LARGEST_EXTRA))
            .map(|(name, field)| (name.clone(), text(field).map_or(Value::Null, Value::String)))
            .collect();
        RejectedRow {
            row: bad.row,
            timestamp: row.timestamp,
            actor: row.actor,
            column: bad.column.clone(),
            sqlstate: bad.sqlstate.clone(),
            message: bad.message.clone(),
            statement,
            extra: (!row.extra.is_empty()).then(|| Value::Object(extra).to_string()),
            altered,
        }
    }

    fn abort(&self, rows: &FinishedRows, bad: &BadValue) -> Failure {
        let row = &rows.raw.rows[bad.row];
        let key = crate::source::from_wire(row.timestamp)
            .map_or_else(|| row.timestamp.to_string(), |t| t.to_string());
        let actor = row.actor.map_or_else(|| "null".to_owned(), |a| a.to_string());
        Failure::new(&bad.sqlstate, format!("bad value for column \"{}\": {}", bad.column, bad.message))
            .with_detail(format!("Source row with timestamp {key}, actor {actor}."))
            .with_hint("on_bad_value is 'abort'; with 'reject' the row goes to lrs_extract.reject and the run goes on.")
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
