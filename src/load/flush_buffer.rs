//! The rows of one flush: values as the server has them, inserted into the target by a statement that scans them.

#![allow(unsafe_code)]

use super::bulk_extension::HeapEstimate;
use super::row_scan::{Offer, RELATION, Rows};
use super::target::{Column, base_type};
use super::time_zone::{SessionZone, Zone};
use crate::error::Failure;
use crate::transform::{Cell, FinishedRows};
use pgrx::pg_sys;
use std::ffi::{CStr, CString, c_int};

unsafe extern "C-unwind" {
    /// A copy in the current memory context (`src/include/utils/datum.h`).
    fn datumCopy(value: pg_sys::Datum, by_value: bool, length: c_int) -> pg_sys::Datum;
}

/// A target column and the function that reads its values from text.
struct InputColumn {
    name: CString,
    type_oid: pg_sys::Oid,
    type_modifier: i32,
    /// As in `pg_type`: negative where each value has its own.
    length: i16,
    by_value: bool,
    input: pg_sys::FmgrInfo,
    io_param: pg_sys::Oid,
    /// In which texts are read that have none.
    zone: Option<Zone>,
}

/// Describes the buffer's rows and makes them. Lives as long as the loader; what it allocates is in
/// `context`, which goes when it is dropped.
pub struct RowBuilder {
    columns: Vec<InputColumn>,
    descriptor: pg_sys::TupleDesc,
    context: pg_sys::MemoryContext,
    /// Values of one row; reset for each.
    row_context: pg_sys::MemoryContext,
    /// Values of the flush that input functions made; the others lie where the transform wrote them.
    flush_context: pg_sys::MemoryContext,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    /// The column whose value is being made: the one that an error is about.
    in_hand: usize,
}

/// The rows of one flush. Their values point into what the transform wrote, which must stay until they are inserted.
pub struct FlushBuffer {
    rows: Rows,
    pub heap: HeapEstimate,
}

impl RowBuilder {
    /// Looks up the columns' types and input functions; each column has the time zone of its texts that have
    /// none, or the session's.
    ///
    /// # Errors
    /// When a name holds a zero byte, which no catalog name does.
    pub fn new<'a>(
        columns: impl Iterator<Item = (&'a Column, Option<&'a str>)>,
    ) -> Result<Self, Failure> {
        // SAFETY: server calls on the main thread inside a transaction. The contexts are children
        // of TopMemoryContext, so they outlive transactions; Drop deletes them.
        unsafe {
            let context = new_context(pg_sys::TopMemoryContext, c"lrs_extract load");
            let row_context = new_context(context, c"lrs_extract row");
            let flush_context = new_context(context, c"lrs_extract flush");
            let mut builder = RowBuilder {
                columns: Vec::new(),
                descriptor: std::ptr::null_mut(),
                context,
                row_context,
                flush_context,
                values: Vec::new(),
                nulls: Vec::new(),
                in_hand: 0,
            };
            for (column, time_zone) in columns {
                let type_oid = pg_sys::Oid::from(column.type_oid);
                let (mut length, mut by_value) = (0, false);
                pg_sys::get_typlenbyval(type_oid, &mut length, &mut by_value);
                let mut function = pg_sys::InvalidOid;
                let mut io_param = pg_sys::InvalidOid;
                pg_sys::getTypeInputInfo(type_oid, &mut function, &mut io_param);
                let mut input = pg_sys::FmgrInfo::default();
                pg_sys::fmgr_info_cxt(function, &mut input, context);
                builder.columns.push(InputColumn {
                    name: CString::new(column.name.as_str())
                        .map_err(|_| Failure::internal("a column's name holds a zero byte"))?,
                    type_oid,
                    type_modifier: column.type_modifier,
                    length,
                    by_value,
                    input,
                    io_param,
                    zone: match time_zone {
                        Some(name) if base_type(type_oid) == pg_sys::TIMESTAMPTZOID => {
                            Some(Zone::find(name)?)
                        }
                        _ => None,
                    },
                });
            }
            builder.describe();
            builder.values = vec![pg_sys::Datum::from(0); builder.columns.len()];
            builder.nulls = vec![true; builder.columns.len()];
            Ok(builder)
        }
    }

    fn describe(&mut self) {
        // SAFETY: the descriptor is made in our own context and filled for each of its attributes.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.context);
            self.descriptor = pg_sys::CreateTemplateTupleDesc(self.columns.len() as i32);
            for (n, column) in self.columns.iter().enumerate() {
                pg_sys::TupleDescInitEntry(
                    self.descriptor,
                    (n + 1) as pg_sys::AttrNumber,
                    column.name.as_ptr(),
                    column.type_oid,
                    column.type_modifier,
                    0,
                );
            }
            pg_sys::MemoryContextSwitchTo(before);
        }
    }

    /// The column whose value was being made when [`RowBuilder::add`] threw.
    pub fn column_in_hand(&self) -> usize {
        self.in_hand
    }

    /// An empty buffer. At most one is in use at a time: starting one frees the values of the one before.
    pub fn start(&mut self) -> FlushBuffer {
        // SAFETY: nothing but the buffer before holds pointers into the context.
        unsafe { pg_sys::MemoryContextReset(self.flush_context) }
        let rows = Rows { width: self.columns.len(), ..Rows::default() };
        FlushBuffer { rows, heap: HeapEstimate::default() }
    }

    /// Adds row `n` of `rows`. An input function may throw: then the row is not in the buffer.
    pub fn add(&mut self, buffer: &mut FlushBuffer, rows: &FinishedRows, n: usize) {
        let width = self.columns.len();
        // SAFETY: the row's values live in flush_context or in `rows`' arena; cells point into the arena by
        // construction of the mapping.
        unsafe {
            // It holds what an input function left that threw.
            pg_sys::MemoryContextReset(self.row_context);
            let before = pg_sys::MemoryContextSwitchTo(self.row_context);
            let mut bytes = 0;
            for (column, cell) in rows.cells[n * width..(n + 1) * width].iter().enumerate() {
                self.in_hand = column;
                let (mut value, null) = self.value(column, *cell, &rows.arena);
                if !null && matches!(cell, Cell::Input { .. } | Cell::Local { .. }) {
                    value = self.kept(column, value);
                }
                self.values[column] = value;
                self.nulls[column] = null;
                if !null {
                    bytes += self.columns[column].length(value);
                }
            }
            buffer.heap.add(bytes);
            pg_sys::MemoryContextSwitchTo(before);
            // At once: what was needed to make a huge value must not stay beside it.
            pg_sys::MemoryContextReset(self.row_context);
        }
        buffer.rows.values.extend_from_slice(&self.values);
        buffer.rows.nulls.extend_from_slice(&self.nulls);
    }

    /// A copy of a value that outlives its row.
    ///
    /// # Safety
    /// The value must be of the column's type.
    unsafe fn kept(&self, column: usize, value: pg_sys::Datum) -> pg_sys::Datum {
        let column = &self.columns[column];
        // SAFETY: as promised; the context goes with the flush.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.flush_context);
            let copy = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                datumCopy(value, column.by_value, column.length.into())
            });
            pg_sys::MemoryContextSwitchTo(before);
            copy
        }
    }

    /// # Safety
    /// `cell` must be of a row that was made with `arena`.
    unsafe fn value(&mut self, column: usize, cell: Cell, arena: &[u8]) -> (pg_sys::Datum, bool) {
        // Rust's system allocator hands out memory aligned to 16, so an offset that is aligned in
        // the arena is aligned in memory.
        debug_assert_eq!(arena.as_ptr() as usize % 8, 0);
        let column = &mut self.columns[column];
        let value = match cell {
            // A domain may refuse null: its input function is asked, as the server would.
            Cell::Null if is_domain(column.type_oid) => {
                // SAFETY: input functions that are not strict take a null pointer for null.
                unsafe { column.read(std::ptr::null_mut()) };
                return (pg_sys::Datum::from(0), true);
            }
            Cell::Null => return (pg_sys::Datum::from(0), true),
            Cell::TimestampTz(micros) => pg_sys::Datum::from(rounded(micros, column.type_modifier)),
            Cell::Uuid { at } | Cell::Varlena { at } => pg_sys::Datum::from(arena[at..].as_ptr()),
            Cell::Input { at } => {
                // SAFETY: the mapping wrote a zero byte after the text; input functions do not
                // write to it.
                unsafe { column.read(arena[at..].as_ptr().cast_mut().cast()) }
            }
            // SAFETY: as above.
            Cell::Local { at } => unsafe {
                column.read(on_the_sessions_clock(arena[at..].as_ptr().cast_mut().cast()))
            },
        };
        (value, false)
    }

    /// Runs a statement with the buffer in sight; returns how many rows it processed.
    ///
    /// Errors are thrown as the server throws them.
    pub fn insert(&self, buffer: &FlushBuffer, sql: &CStr) -> u64 {
        // SAFETY: the relation is registered in SPI's own context (it is freed by SPI_finish, not
        // by our resets); the descriptor, the rows and their values outlive the statement.
        unsafe {
            check_spi(pg_sys::SPI_connect());
            let _offer = Offer::new(&buffer.rows);
            let relation = pg_sys::palloc0(size_of::<pg_sys::EphemeralNamedRelationData>())
                .cast::<pg_sys::EphemeralNamedRelationData>();
            (*relation).md.name = RELATION.as_ptr().cast_mut();
            (*relation).md.reliddesc = pg_sys::InvalidOid;
            (*relation).md.tupdesc = self.descriptor;
            (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
            (*relation).md.enrtuples = buffer.rows.count() as f64;
            check_spi(pg_sys::SPI_register_relation(relation));
            check_spi(pg_sys::SPI_execute(sql.as_ptr(), false, 0));
            let processed = pg_sys::SPI_processed;
            check_spi(pg_sys::SPI_finish());
            processed
        }
    }
}

impl Drop for RowBuilder {
    fn drop(&mut self) {
        // SAFETY: nothing else points into the context; deleting it deletes its children.
        unsafe { pg_sys::MemoryContextDelete(self.context) }
    }
}

impl InputColumn {
    /// The bytes of a value.
    ///
    /// # Safety
    /// The value must be of the column's type.
    unsafe fn length(&self, value: pg_sys::Datum) -> usize {
        match self.length {
            -2 => 0,
            // SAFETY: a varlena, as the column's length says.
            -1 => unsafe { pgrx::varsize_any(value.cast_mut_ptr()) },
            fixed => usize::from(fixed.unsigned_abs()),
        }
    }

    /// # Safety
    /// `text` is null, or ends in a zero byte.
    unsafe fn read(&mut self, text: *mut std::ffi::c_char) -> pg_sys::Datum {
        let _zone = self.zone.map(SessionZone::set);
        // SAFETY: the function was looked up for this column's type.
        unsafe {
            pg_sys::InputFunctionCall(&mut self.input, text, self.io_param, self.type_modifier)
        }
    }
}

/// What the session's clock shows at an instant: a timestamptz's text as that of the timestamp which a
/// cast in this session makes of it.
///
/// # Safety
/// `text` ends in a zero byte.
unsafe fn on_the_sessions_clock(text: *mut std::ffi::c_char) -> *mut std::ffi::c_char {
    // SAFETY: functions of the server, by their numbers in its catalog, with arguments of their types.
    unsafe {
        let instant =
            pg_sys::OidInputFunctionCall(TIMESTAMPTZ_IN.into(), text, pg_sys::TIMESTAMPTZOID, -1);
        let local = pg_sys::OidFunctionCall1Coll(
            TIMESTAMP_OF_TIMESTAMPTZ.into(),
            pg_sys::InvalidOid,
            instant,
        );
        pg_sys::OidOutputFunctionCall(TIMESTAMP_OUT.into(), local)
    }
}

/// Numbers of functions in `src/include/catalog/pg_proc.dat`; the same in all versions.
const TIMESTAMPTZ_IN: u32 = 1150;
const TIMESTAMP_OF_TIMESTAMPTZ: u32 = 2027;
const TIMESTAMP_OUT: u32 = 1313;

/// A time as timestamptz(n) keeps it (`AdjustTimestampForTypmod`, `src/backend/utils/adt/timestamp.c`).
fn rounded(micros: i64, precision: i32) -> i64 {
    const DIGITS: i32 = 6;
    // The infinities, too, stay as they are.
    if !(0..DIGITS).contains(&precision) || micros == i64::MIN || micros == i64::MAX {
        return micros;
    }
    let scale = 10i64.pow((DIGITS - precision).unsigned_abs());
    let magnitude = (micros.unsigned_abs().cast_signed() + scale / 2) / scale * scale;
    if micros < 0 { -magnitude } else { magnitude }
}

fn is_domain(type_oid: pg_sys::Oid) -> bool {
    // Built-in types are no domains of this table: skip the catalog for them.
    const FIRST_NORMAL_OBJECT_ID: u32 = 16384;
    if type_oid.to_u32() < FIRST_NORMAL_OBJECT_ID {
        return false;
    }
    // SAFETY: a catalog lookup inside a transaction.
    unsafe { pg_sys::get_typtype(type_oid) == pg_sys::TYPTYPE_DOMAIN as std::ffi::c_char }
}

/// # Safety
/// On the main thread, as every server call.
unsafe fn new_context(parent: pg_sys::MemoryContext, name: &'static CStr) -> pg_sys::MemoryContext {
    // SAFETY: the name is static, as AllocSetContextCreate asks.
    unsafe {
        pg_sys::AllocSetContextCreateInternal(
            parent,
            name.as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        )
    }
}

fn check_spi(code: i32) {
    if code < 0 {
        Failure::internal(format!("SPI code {code}")).raise();
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn times_are_rounded_as_the_server_rounds_them() {
        for (micros, precision, expected) in [
            (1_499_999, 0, 1_000_000),
            (1_500_000, 0, 2_000_000),
            (-1_500_000, 0, -2_000_000),
            (-1_499_999, 0, -1_000_000),
            (1_234_567, 3, 1_235_000),
            (1_234_567, 5, 1_234_570),
            (1_234_567, 6, 1_234_567),
            (1_234_567, -1, 1_234_567),
            (i64::MAX, 0, i64::MAX),
            (i64::MIN, 0, i64::MIN),
        ] {
            assert_eq!(rounded(micros, precision), expected, "{micros} to {precision}");
        }
    }
}
