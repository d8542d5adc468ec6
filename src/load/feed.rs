//! How a statement finds the rows of a flush: by the name of an ephemeral relation, or, where a planner runs
//! the SELECT of an INSERT apart and loses that name, by a set-returning function.

#![allow(unsafe_code)]

use crate::backend::extension::check_version;
use crate::error::Failure;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The name under which a statement finds the rows.
pub const RELATION: &CStr = c"lrs_extract_batch";

/// The way by which a statement finds the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feed {
    /// A relation of the query's environment: it takes no privilege.
    #[default]
    Relation,
    /// `lrs_extract.batch_rows()`, which the current role must be allowed to call.
    Function,
}

impl Feed {
    /// The way that is left where the statement failed for the other one.
    pub fn instead(self, failure: &Failure) -> Option<Feed> {
        let lost = failure.sqlstate == "XX000"
            && failure.message.contains("could not find named tuplestore");
        (lost && self == Feed::Relation).then_some(Feed::Function)
    }
}

/// A statement that inserts the rows of a flush, for each way of finding them.
#[derive(Clone, Debug)]
pub struct InsertStatement {
    by_relation: CString,
    by_function: CString,
}

impl InsertStatement {
    /// Of `sql`, which has the rows as what `rows` is given: once for each way.
    ///
    /// # Errors
    /// When a name holds a zero byte, which no catalog name does.
    pub fn new(function: &str, sql: impl Fn(&str) -> String) -> Result<InsertStatement, Failure> {
        Ok(InsertStatement {
            by_relation: c_string(sql(&RELATION.to_string_lossy()))?,
            by_function: c_string(sql(function))?,
        })
    }

    /// Of `sql`, which has the rows by their name more than once: the function gives them once.
    ///
    /// # Errors
    /// As [`InsertStatement::new`].
    pub fn of_several(function: &str, sql: &str) -> Result<InsertStatement, Failure> {
        let relation = RELATION.to_string_lossy();
        let once = format!("with {relation} as materialized (select * from {function}) {sql}");
        Ok(InsertStatement { by_relation: c_string(sql.to_owned())?, by_function: c_string(once)? })
    }

    /// The statement with a further clause.
    ///
    /// # Errors
    /// As [`InsertStatement::new`].
    pub fn followed_by(&self, clause: &str) -> Result<InsertStatement, Failure> {
        let with = |sql: &CString| {
            CString::new([sql.as_bytes(), b" ", clause.as_bytes()].concat())
                .map_err(|_| zero_byte())
        };
        Ok(InsertStatement {
            by_relation: with(&self.by_relation)?,
            by_function: with(&self.by_function)?,
        })
    }

    pub fn by(&self, feed: Feed) -> &CStr {
        match feed {
            Feed::Relation => &self.by_relation,
            Feed::Function => &self.by_function,
        }
    }
}

fn c_string(sql: String) -> Result<CString, Failure> {
    CString::new(sql).map_err(|_| zero_byte())
}

fn zero_byte() -> Failure {
    Failure::internal("a name holds a zero byte")
}

/// `lrs_extract.batch_rows()` with the columns that it gives, each with its name and its type as SQL writes
/// them.
pub fn function<'a>(columns: impl Iterator<Item = (&'a String, String)>) -> String {
    let columns: Vec<String> = columns.map(|(name, of_type)| format!("{name} {of_type}")).collect();
    let relation = RELATION.to_string_lossy();
    format!("lrs_extract.batch_rows() as {relation} ({})", columns.join(", "))
}

/// The type with its modifier, in its schema, as SQL writes it.
pub fn type_name(type_oid: pg_sys::Oid, type_modifier: i32) -> String {
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
    // SAFETY: a catalog lookup inside a transaction; the text is copied before it goes with its context.
    unsafe {
        let name = pg_sys::format_type_extended(type_oid, type_modifier, flags as pg_sys::bits16);
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// The rows that the function is to give: a tuplestore and its rows' descriptor. Null: none. A backend has one
/// thread that gets here.
static STORE: AtomicPtr<pg_sys::Tuplestorestate> = AtomicPtr::new(std::ptr::null_mut());
static DESCRIPTOR: AtomicPtr<pg_sys::TupleDescData> = AtomicPtr::new(std::ptr::null_mut());

/// Rows that the function gives once, as long as this lives.
pub struct Offer(());

impl Offer {
    /// # Safety
    /// Store and descriptor outlive the offer. The store is read from its begin and freed by who takes it.
    pub unsafe fn new(store: *mut pg_sys::Tuplestorestate, descriptor: pg_sys::TupleDesc) -> Offer {
        STORE.store(store, Ordering::Relaxed);
        DESCRIPTOR.store(descriptor, Ordering::Relaxed);
        Offer(())
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        STORE.store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

/// What `lrs_extract.batch_rows()` calls.
///
/// # Safety
/// The server's arguments for a function that returns a set.
unsafe fn give(arguments: pg_sys::FunctionCallInfo) -> Result<(), Failure> {
    // SAFETY: as promised; the node's tag says what it is.
    let result = unsafe { (*arguments).resultinfo.cast::<pg_sys::ReturnSetInfo>() };
    let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
    // SAFETY: as above.
    let takes_set = unsafe {
        !result.is_null()
            && (*result).type_ == pg_sys::NodeTag::T_ReturnSetInfo
            && (*result).allowedModes as u32 & materialize != 0
    };
    let store = STORE.swap(std::ptr::null_mut(), Ordering::Relaxed);
    if store.is_null() || !takes_set {
        check_version()?;
        return Err(Failure::new("55000", "there are no rows of a batch here")
            .with_detail("lrs_extract.batch_rows() hands the rows of a batch to the INSERT of a pull, and serves no other statement.")
            .with_hint("select lrs_extract.pull('2025-03-01', '2025-04-01', 50000);"));
    }
    // SAFETY: the store and its descriptor live as long as the offer, which the statement ends within; the
    // copy is freed with the query.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo((*(*result).econtext).ecxt_per_query_memory);
        (*result).setDesc = pg_sys::CreateTupleDescCopy(DESCRIPTOR.load(Ordering::Relaxed));
        pg_sys::MemoryContextSwitchTo(before);
        (*result).setResult = store;
        (*result).returnMode = materialize;
    }
    Ok(())
}

/// `lrs_extract.batch_rows()`.
///
/// # Safety
/// Called by the server.
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn lrs_extract_batch_rows(
    arguments: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: the server's arguments.
    if let Err(failure) = unsafe { give(arguments) } {
        failure.raise();
    }
    pg_sys::Datum::from(0)
}

/// Says how the server is to call it.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_lrs_extract_batch_rows() -> &'static pg_sys::Pg_finfo_record {
    const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}
