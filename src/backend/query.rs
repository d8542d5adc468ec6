//! Queries that see what is committed now, whatever snapshot the caller's transaction has, and what
//! that transaction itself has done.
//!
//! They run by SPI itself: only what it runs as read-only uses the snapshot that is pushed here, and
//! pgrx's client does that only until the transaction has written anything.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Runs a query that changes nothing and gives each row to `read`.
///
/// # Errors
/// [`Failure`] when SPI refuses; what the server throws passes through.
///
/// # Safety
/// Each value must be of its type, and live as long as the call; `read` must ask each row for the
/// types that the query selects.
pub unsafe fn select_now<T>(
    sql: &str,
    arguments: &[(pg_sys::Oid, pg_sys::Datum)],
    read: impl FnMut(&Row) -> T,
) -> Result<Vec<T>, Failure> {
    let sql = CString::new(sql).map_err(|_| Failure::internal("a query holds a zero byte"))?;
    let (mut types, mut values): (Vec<_>, Vec<_>) = arguments.iter().copied().unzip();
    // SAFETY: SPI is connected; the arguments outlive the call.
    let execute = || unsafe {
        pg_sys::SPI_execute_with_args(
            sql.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            values.as_mut_ptr(),
            std::ptr::null(),
            true,
            0,
        )
    };
    // SAFETY: the reading is as promised to this function.
    unsafe { rows_now(execute, read) }
}

/// A text as an argument of a query; it lives in the current memory context.
pub fn text_argument(text: &str) -> (pg_sys::Oid, pg_sys::Datum) {
    (pg_sys::TEXTOID, text.into_datum().unwrap_or(pg_sys::Datum::from(0)))
}

/// A query that is asked again and again: planned at its first use in a process.
pub struct Query {
    sql: &'static str,
    types: &'static [pg_sys::Oid],
    plan: AtomicPtr<pg_sys::_SPI_plan>,
}

impl Query {
    pub const fn new(sql: &'static str, types: &'static [pg_sys::Oid]) -> Self {
        Query { sql, types, plan: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// As [`select_now`].
    ///
    /// # Errors
    /// As [`select_now`].
    ///
    /// # Safety
    /// `values` must be of the query's types, none of them null; for the rest, as [`select_now`].
    pub unsafe fn rows<T>(
        &self,
        values: &mut [pg_sys::Datum],
        read: impl FnMut(&Row) -> T,
    ) -> Result<Vec<T>, Failure> {
        debug_assert_eq!(values.len(), self.types.len());
        // SAFETY: SPI is connected; the values are of the plan's types.
        let execute = || unsafe {
            match self.plan() {
                Ok(plan) => {
                    pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), std::ptr::null(), true, 0)
                }
                Err(code) => code,
            }
        };
        // SAFETY: the reading is as promised to this function.
        unsafe { rows_now(execute, read) }
    }

    /// The plan, which the server keeps and makes anew when what it rests on has changed.
    ///
    /// # Errors
    /// SPI's code.
    ///
    /// # Safety
    /// SPI must be connected.
    unsafe fn plan(&self) -> Result<pg_sys::SPIPlanPtr, i32> {
        let kept = self.plan.load(Ordering::Relaxed);
        if !kept.is_null() {
            return Ok(kept);
        }
        let sql = CString::new(self.sql).map_err(|_| pg_sys::SPI_ERROR_ARGUMENT)?;
        // SAFETY: the types are only read; a plan that is kept outlives SPI's connection.
        unsafe {
            let plan = pg_sys::SPI_prepare(
                sql.as_ptr(),
                self.types.len() as i32,
                self.types.as_ptr().cast_mut(),
            );
            if plan.is_null() {
                return Err(pg_sys::SPI_result);
            }
            match pg_sys::SPI_keepplan(plan) {
                0 => {
                    self.plan.store(plan, Ordering::Relaxed);
                    Ok(plan)
                }
                code => Err(code),
            }
        }
    }
}

/// A row of such a query.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// The value of a column; `None` for null, and where there is no such column.
    ///
    /// # Safety
    /// The column must be of the type `T`.
    pub unsafe fn get<T: FromDatum>(&self, column: &CStr) -> Option<T> {
        let mut null = false;
        // SAFETY: the tuple is there while SPI is connected; the rest is the caller's promise.
        unsafe {
            let n = pg_sys::SPI_fnumber(self.descriptor, column.as_ptr());
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, n, &mut null);
            T::from_datum(datum, null)
        }
    }
}

/// Connects SPI, lets `execute` run a query under the latest snapshot, and reads its rows.
///
/// # Safety
/// `read` must ask each row for the types that the query selects.
unsafe fn rows_now<T>(
    execute: impl FnOnce() -> i32,
    mut read: impl FnMut(&Row) -> T,
) -> Result<Vec<T>, Failure> {
    // SAFETY: the snapshot is popped below, an error aborts the (sub)transaction, which pops it;
    // the tuples are read before SPI_finish frees them.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        pg_sys::SPI_connect();
        let code = execute();
        let rows = if code == pg_sys::SPI_OK_SELECT as i32 {
            let table = pg_sys::SPI_tuptable;
            let descriptor = (*table).tupdesc;
            let tuples = (0..pg_sys::SPI_processed as usize).map(|n| *(*table).vals.add(n));
            Ok(tuples.map(|tuple| read(&Row { tuple, descriptor })).collect())
        } else {
            Err(Failure::internal(format!("SPI code {code}")))
        };
        pg_sys::SPI_finish();
        pg_sys::PopActiveSnapshot();
        rows
    }
}
