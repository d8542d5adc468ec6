//! Queries about the stage.

use crate::backend::role;
use crate::error::Failure;
use pgrx::Spi;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{self, SpiTupleTable};

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
