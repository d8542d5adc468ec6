//! Who calls, and from what kind of database.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::pg_sys;

/// The role whose privileges count: the current one, as for any statement.
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetUserId() }
}

/// # Errors
/// 0A000 where this database is not UTF8.
pub fn check_encoding() -> Result<(), Failure> {
    // SAFETY: reads a global.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    if encoding == pg_sys::pg_enc::PG_UTF8 as i32 {
        return Ok(());
    }
    Err(Failure::new("0A000", "lrs_extract needs a database with the encoding UTF8")
        .with_hint("create database … encoding 'UTF8' template template0;"))
}

/// Whether `role` is a superuser.
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: a catalog lookup.
    unsafe { pg_sys::superuser_arg(role) }
}
