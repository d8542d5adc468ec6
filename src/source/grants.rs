//! What to grant to a role that may not read the source's table.

use super::connect::Session;
use super::error::SourceError;
use postgres::types::Type;

/// `error`; where the role lacks a privilege, with the statements that give it what a pull of `table` needs.
pub(super) fn with_grants(error: SourceError, session: &mut Session, table: &str) -> SourceError {
    if !error.is_denied() {
        return error;
    }
    let sql = include_str!("../../sql/source/grants.sql");
    let rows = session.query(sql, &[(&table, Type::TEXT)]).unwrap_or_default();
    match rows.first().and_then(|row| row.try_get::<_, String>("grants").ok()) {
        Some(grants) => error.with_hint(format!("Grant it on the source: {grants}")),
        None => error,
    }
}
