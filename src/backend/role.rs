//! Roles: who calls, whose privileges count, and how the extension acts as its owner.

#![allow(unsafe_code)]

use super::extension::owner;
use crate::error::Failure;
use pgrx::{Spi, pg_sys};

/// The role whose privileges count: the current one, as for any statement.
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetUserId() }
}

/// The same role's name.
///
/// # Errors
/// [`Failure`] as the server says.
pub fn current_role_name() -> Result<String, Failure> {
    // Not by get_one, which takes a transaction id.
    let name = Spi::connect(|client| {
        client.select("select current_user::text", Some(1), &[])?.first().get_one::<String>()
    })?;
    Ok(name.unwrap_or_default())
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

/// Runs `f` as the extension's owner, with `search_path` at `pg_catalog, pg_temp`, and names quoted only
/// where they need it.
///
/// When `f` throws, the surrounding transaction or subtransaction puts role and settings back.
pub fn as_owner<T>(f: impl FnOnce() -> T) -> T {
    acting_as(owner(), f)
}

/// The same as the bootstrap superuser, for the catalog of user mappings, which nobody else may
/// read whole.
pub fn as_superuser<T>(f: impl FnOnce() -> T) -> T {
    acting_as(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID), f)
}

fn acting_as<T>(actor: pg_sys::Oid, f: impl FnOnce() -> T) -> T {
    // SAFETY: role and settings are put back below, and by the abort of the transaction when an
    // error passes through.
    unsafe {
        let (mut role, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&mut role, &mut context);
        let settings = pg_sys::NewGUCNestLevel();
        for (name, value) in
            [(c"search_path", c"pg_catalog, pg_temp"), (c"quote_all_identifiers", c"off")]
        {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        pg_sys::SetUserIdAndSecContext(
            actor,
            context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
        );
        let value = f();
        pg_sys::SetUserIdAndSecContext(role, context);
        pg_sys::AtEOXact_GUC(false, settings);
        value
    }
}
