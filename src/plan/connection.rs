//! From a foreign server and a user mapping to a connection, with the rules for who may use it.

#![allow(unsafe_code)]

use crate::backend::query::{select_now, text_argument};
use crate::backend::role::{self, is_superuser};
use crate::error::Failure;
use crate::source::ConnectSpec;
use crate::threads::Directions;
use pgrx::prelude::*;

/// What the catalogs say of a server.
struct Found {
    wrapper: String,
    server: Vec<String>,
    mapping: Vec<String>,
    may_use: bool,
    has_mapping: bool,
}

/// Makes the connection that `role` has to `server`, as the catalogs have it now.
///
/// # Errors
/// 42704 without such a server or mapping, 42501 without USAGE, 2F003 where a password is due.
pub fn connection(server: &str, role: pg_sys::Oid) -> Result<ConnectSpec, Failure> {
    let found = usable(server, role)?;
    let mut spec = ConnectSpec { server: server.to_owned(), ..ConnectSpec::default() };
    for option in found.server.iter().chain(&found.mapping) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        spec.set(name, value)?;
    }
    if !is_superuser(role) && !spec.password_not_required {
        // What the stage server could show of its own (a trusted address, its operating system user,
        // its certificate) would let any role in. postgres_fdw and dblink have the same rule, and check it
        // on each connection too.
        spec.must_ask_for_password = true;
        check_password(server, &spec)?;
    }
    Ok(spec)
}

/// The same, asked again whenever a connection is made.
pub fn directions(server: &str, role: pg_sys::Oid) -> Directions {
    let server = server.to_owned();
    Box::new(move || connection(&server, role))
}

/// Checks that `role` may use `server`, and has a mapping there.
///
/// # Errors
/// 42704 without such a server or mapping, 42501 without USAGE.
pub fn check_usage(server: &str, role: pg_sys::Oid) -> Result<(), Failure> {
    usable(server, role).map(|_| ())
}

fn usable(server: &str, role: pg_sys::Oid) -> Result<Found, Failure> {
    let found = role::as_superuser(|| look_up(server, role))?.ok_or_else(|| {
        Failure::new("42704", format!("server \"{server}\" does not exist")).with_hint(format!(
            "create server {} foreign data wrapper lrs_extract options (host '…', dbname '…');",
            pgrx::spi::quote_identifier(server)
        ))
    })?;
    if found.wrapper != "lrs_extract" {
        return Err(Failure::new(
            "42809",
            format!("server \"{server}\" belongs to the wrapper {}", found.wrapper),
        )
        .with_hint("The source must be a server of the foreign data wrapper lrs_extract."));
    }
    if !found.may_use {
        return Err(Failure::new(
            "42501",
            format!("permission denied for foreign server {server}"),
        )
        .with_hint(format!(
            "grant usage on foreign server {} to …;",
            pgrx::spi::quote_identifier(server)
        )));
    }
    if !found.has_mapping {
        return Err(Failure::new(
            "42704",
            format!("no user mapping for this role on server \"{server}\""),
        )
        .with_hint(format!(
            "create user mapping for current_user server {} options (user '…', password '…');",
            pgrx::spi::quote_identifier(server)
        )));
    }
    Ok(found)
}

/// What is committed now: who connects again has not the snapshot of who called.
fn look_up(server: &str, role: pg_sys::Oid) -> Result<Option<Found>, Failure> {
    let sql = include_str!("../../sql/plan/foreign_server.sql");
    let arguments = [text_argument(server), (pg_sys::OIDOID, role.into())];
    // SAFETY: the columns are of the types that they are asked for.
    let found = unsafe {
        select_now(sql, &arguments, |row| Found {
            wrapper: row.get::<String>(c"wrapper").unwrap_or_default(),
            server: row.get::<Vec<String>>(c"server_options").unwrap_or_default(),
            mapping: row.get::<Vec<String>>(c"mapping_options").unwrap_or_default(),
            may_use: row.get(c"may_use").unwrap_or(false),
            has_mapping: row.get(c"has_mapping").unwrap_or(false),
        })
    }?;
    Ok(found.into_iter().next())
}

fn check_password(server: &str, spec: &ConnectSpec) -> Result<(), Failure> {
    if spec.password.is_some() {
        return Ok(());
    }
    Err(Failure::new("2F003", "password is required")
        .with_detail("Callers who are not superusers must provide a password in the user mapping.")
        .with_hint(format!(
            "alter user mapping for current_user server {} options (add password '…');",
            pgrx::spi::quote_identifier(server)
        )))
}
