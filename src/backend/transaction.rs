//! Transactions and subtransactions, and errors of the server as values.

#![allow(unsafe_code)]

use crate::error::Failure;
use crate::pg_compat;
use pgrx::{PgTryBuilder, pg_sys};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs `f`; an error of the server, or a panic, comes back as a value. The transaction is then in
/// an aborted state: the caller must abort it (or the subtransaction around) before going on.
pub fn catching<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    PgTryBuilder::new(AssertUnwindSafe(f))
        .catch_others(|caught| {
            let failure = Failure::from_caught(caught);
            if failure.sqlstate == "55P03" {
                pg_compat::was_lock_timeout();
            }
            Err(failure)
        })
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

    /// Runs `f`, which only reads, in a subtransaction that is rolled back in any case: what it locked in
    /// reading is free again, though the transaction goes on.
    ///
    /// # Errors
    /// That of `f`, or what the server threw.
    pub fn look<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let subtransaction = Subtransaction::begin();
        let outcome = catching(f);
        subtransaction.roll_back();
        outcome
    }

    /// Runs `f` in a subtransaction of its own.
    ///
    /// # Errors
    /// What the server threw; everything `f` did in the database is then undone.
    pub fn run<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
        Subtransaction::run_if(f, |_| true)
    }

    /// The same; what `f` did in the database is kept only where `keep` says so.
    ///
    /// # Errors
    /// As [`Subtransaction::run`].
    pub fn run_if<T>(f: impl FnOnce() -> T, keep: impl FnOnce(&T) -> bool) -> Result<T, Failure> {
        let subtransaction = Subtransaction::begin();
        let outcome = catching(|| Ok(f()));
        match &outcome {
            Ok(done) if keep(done) => subtransaction.commit(),
            _ => subtransaction.roll_back(),
        }
        outcome
    }
}

/// Whether this worker's transactions are confined; see [`confine`].
static CONFINED: AtomicBool = AtomicBool::new(false);

/// From now on no transaction of this worker can change its role: nothing that runs in it, such as
/// a trigger of the target, gets at the role that the worker connected as.
pub fn confine() {
    CONFINED.store(true, Ordering::Relaxed);
}

/// Sets or lifts the confinement of the current role.
fn set_confined(confined: bool) {
    if !CONFINED.load(Ordering::Relaxed) {
        return;
    }
    let context = if confined { pg_sys::SECURITY_LOCAL_USERID_CHANGE.cast_signed() } else { 0 };
    // SAFETY: the role stays. The context is set inside a transaction and lifted after its commit;
    // an abort lifts it by itself.
    unsafe { pg_sys::SetUserIdAndSecContext(pg_sys::GetUserId(), context) }
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
            set_confined(true);
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

    /// Runs `f` in this unit, and ends it.
    ///
    /// # Errors
    /// That of `f`, or of the commit; everything is rolled back then.
    pub fn run<T>(self, f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        match catching(f) {
            Ok(value) => self.commit().map(|()| value),
            Err(failure) => {
                self.roll_back();
                Err(failure)
            }
        }
    }

    /// Ends the unit with everything kept.
    ///
    /// # Errors
    /// What the server threw (for example, a violated deferred constraint). The transaction is aborted then.
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
                    Ok(()) => {
                        set_confined(false);
                        report_statistics();
                    }
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

/// Reports the statistics of a worker's rows while it works, so that autovacuum learns of them. An
/// error here does not concern the batch, which is committed.
fn report_statistics() {
    let _ = catching(|| {
        // SAFETY: between two transactions.
        unsafe { pg_sys::pgstat_report_stat(false) };
        Ok(())
    });
}

/// Runs `f` in a transaction of its own.
///
/// # Errors
/// As [`Unit::run`].
pub fn in_transaction<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    Unit::begin_transaction().run(f)
}

/// Refuses to `act` by workers on a hot standby, which starts none.
///
/// # Errors
/// 25006 with `hint`.
pub fn check_starts_workers(act: &str, hint: &str) -> Result<(), Failure> {
    // SAFETY: reads the server's state.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Err(Failure::new("25006", format!("cannot {act} by workers on a hot standby"))
            .with_hint(hint));
    }
    Ok(())
}

/// Refuses to `act` where nothing can be written.
///
/// # Errors
/// 25006.
pub fn check_writable(act: &str) -> Result<(), Failure> {
    // SAFETY: reads a global.
    if unsafe { pg_sys::XactReadOnly } { Err(read_only(act)) } else { Ok(()) }
}

/// The same where nothing ever can be: on a hot standby.
///
/// # Errors
/// 25006.
pub fn check_no_standby(act: &str) -> Result<(), Failure> {
    // SAFETY: reads the server's state.
    if unsafe { pg_sys::RecoveryInProgress() } { Err(read_only(act)) } else { Ok(()) }
}

fn read_only(act: &str) -> Failure {
    Failure::new("25006", format!("cannot {act} in a read-only transaction"))
        .with_hint("A standby cannot be a stage; elsewhere, begin the transaction read write.")
}
