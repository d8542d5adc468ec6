//! Transactions and subtransactions, what they see, and errors of the server as values.
//!
//! Faces the server: main thread only.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::{FromDatum, PgTryBuilder, pg_sys};
use std::ffi::CString;
use std::panic::AssertUnwindSafe;

/// Runs `f`; an error of the server, or a panic, comes back as a value. The transaction is then in
/// an aborted state: the caller must abort it (or the subtransaction around) before going on.
pub fn catching<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    PgTryBuilder::new(AssertUnwindSafe(f))
        .catch_others(|caught| Err(Failure::from_caught(caught)))
        .execute()
}

/// What a subtransaction must put back when it is over (`src/pl/plpgsql/src/pl_exec.c` does the
/// same around an exception block).
pub struct Subtransaction {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Subtransaction {
    pub fn begin() -> Self {
        // SAFETY: inside a transaction; the pair of globals is put back by commit and roll_back.
        unsafe {
            let saved = Subtransaction {
                context: pg_sys::CurrentMemoryContext,
                owner: pg_sys::CurrentResourceOwner,
            };
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::MemoryContextSwitchTo(saved.context);
            saved
        }
    }

    pub fn commit(self) {
        // SAFETY: ends the subtransaction that begin() opened.
        unsafe { pg_sys::ReleaseCurrentSubTransaction() }
        self.restore();
    }

    pub fn roll_back(self) {
        // SAFETY: as commit; also right after an error was caught.
        unsafe {
            pg_sys::MemoryContextSwitchTo(self.context);
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        self.restore();
    }

    fn restore(&self) {
        // SAFETY: both outlive the subtransaction.
        unsafe {
            pg_sys::MemoryContextSwitchTo(self.context);
            pg_sys::CurrentResourceOwner = self.owner;
        }
    }

    /// Runs `f` in a subtransaction of its own.
    ///
    /// # Errors
    /// What the server threw; everything `f` did in the database is then undone.
    pub fn run<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
        let subtransaction = Subtransaction::begin();
        let outcome = catching(|| Ok(f()));
        match outcome {
            Ok(_) => subtransaction.commit(),
            Err(_) => subtransaction.roll_back(),
        }
        outcome
    }
}

/// A unit of work that commits on its own: a batch or a slice.
pub enum Unit {
    /// A transaction, in a worker.
    Transaction,
    /// A subtransaction of the caller's transaction.
    Subtransaction(Subtransaction),
}

impl Unit {
    /// Starts a transaction; only where none is open.
    pub fn begin_transaction() -> Unit {
        // SAFETY: in a worker, between transactions.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            // Whatever the role's or the database's defaults are: the steps are made for these.
            pg_sys::XactIsoLevel = pg_sys::XACT_READ_COMMITTED as i32;
            pg_sys::XactReadOnly = false;
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        Unit::Transaction
    }

    pub fn begin_subtransaction() -> Unit {
        Unit::Subtransaction(Subtransaction::begin())
    }

    /// Ends the unit with everything kept.
    ///
    /// # Errors
    /// What the server threw (a deferred constraint, say). The transaction is aborted then.
    pub fn commit(self) -> Result<(), Failure> {
        match self {
            Unit::Subtransaction(subtransaction) => {
                subtransaction.commit();
                Ok(())
            }
            Unit::Transaction => {
                let outcome = catching(|| {
                    // SAFETY: pops what begin_transaction pushed, and commits.
                    unsafe {
                        pg_sys::PopActiveSnapshot();
                        pg_sys::CommitTransactionCommand();
                    }
                    Ok(())
                });
                match outcome {
                    Ok(()) => report_statistics(),
                    Err(_) => Unit::Transaction.roll_back(),
                }
                outcome
            }
        }
    }

    /// Ends the unit with everything undone; also right after an error was caught.
    pub fn roll_back(self) {
        match self {
            Unit::Subtransaction(subtransaction) => subtransaction.roll_back(),
            Unit::Transaction => {
                // SAFETY: aborts the open transaction, its snapshots and its SPI connections.
                unsafe { pg_sys::AbortCurrentTransaction() }
            }
        }
    }
}

/// Tells the statistics of a worker's rows while it is at work, so that autovacuum hears of them.
/// What is committed is committed: trouble here is none of the batch's.
fn report_statistics() {
    let _ = catching(|| {
        // SAFETY: between two transactions.
        unsafe { pg_sys::pgstat_report_stat(false) };
        Ok(())
    });
}

/// A row of a [`select_now`].
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// Column `n`, from 1.
    ///
    /// # Safety
    /// The column must be of the type `T`.
    pub unsafe fn get<T: FromDatum>(&self, n: i32) -> Option<T> {
        let mut null = false;
        // SAFETY: the tuple is there as long as the row, which `select_now` lends out only; the
        // type is as the caller promises.
        unsafe {
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, n, &mut null);
            T::from_datum(datum, null)
        }
    }
}

/// Runs a query that changes nothing and gives each row to `read`. It sees what is committed now,
/// and what this transaction did before, whatever snapshot the transaction has.
///
/// By SPI itself: only what it runs as read-only uses the snapshot that is pushed here, and pgrx's
/// client does that only until the transaction has written anything.
///
/// # Errors
/// [`Failure`] when SPI refuses; what the server throws passes through.
///
/// # Safety
/// Each value must be of its type, and live as long as the call.
pub unsafe fn select_now<T>(
    sql: &str,
    arguments: &[(pg_sys::Oid, pg_sys::Datum)],
    mut read: impl FnMut(&Row) -> T,
) -> Result<Vec<T>, Failure> {
    let sql = CString::new(sql).map_err(|_| Failure::internal("a query holds a zero byte"))?;
    let (mut types, mut values): (Vec<_>, Vec<_>) = arguments.iter().copied().unzip();
    // SAFETY: the snapshot is popped below, an error aborts the (sub)transaction, which pops it;
    // the arguments outlive the call; the tuples are read before SPI_finish frees them.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        pg_sys::SPI_connect();
        let code = pg_sys::SPI_execute_with_args(
            sql.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            values.as_mut_ptr(),
            std::ptr::null(),
            true,
            0,
        );
        let mut rows = Vec::new();
        if code == pg_sys::SPI_OK_SELECT as i32 {
            let table = pg_sys::SPI_tuptable;
            for n in 0..pg_sys::SPI_processed as usize {
                let row = Row { tuple: *(*table).vals.add(n), descriptor: (*table).tupdesc };
                rows.push(read(&row));
            }
        }
        pg_sys::SPI_finish();
        pg_sys::PopActiveSnapshot();
        if code != pg_sys::SPI_OK_SELECT as i32 {
            return Err(Failure::internal(format!("SPI code {code}")));
        }
        Ok(rows)
    }
}
