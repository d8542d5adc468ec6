//! Queries about the stage.

use crate::backend::role;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use pgrx::Spi;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{self, SpiTupleTable};

/// The server's SQLSTATE for a cancel, also by statement_timeout.
const CANCELLED: &str = "57014";

/// Looks at a part of the stage, which may fail by itself; a cancel is none of its failures, and goes on.
///
/// # Errors
/// As [`Subtransaction::look`].
pub fn look<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match Subtransaction::look(f) {
        Err(failure) if failure.sqlstate == CANCELLED => failure.raise(),
        outcome => outcome,
    }
}

/// Runs a query as the extension's owner, and reads its first row. It takes no transaction id.
///
/// # Errors
/// [`Failure`] as SPI reports it; what the server throws passes through.
pub fn first_row<T>(
    sql: &str,
    arguments: &[DatumWithOid<'_>],
    read: impl FnOnce(SpiTupleTable<'_>) -> Result<T, spi::Error>,
) -> Result<T, Failure> {
    role::as_owner(|| Spi::connect(|client| read(client.select(sql, Some(1), arguments)?.first())))
        .map_err(Failure::from)
}
