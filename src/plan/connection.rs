//! From a foreign server and a user mapping to a connection, with the rules for who may use it.

use crate::backend::role::{self, is_superuser};
use crate::error::Failure;
use crate::source::{ConnectSpec, source_asks_for_password};
use crate::threads::call_source;
use pgrx::prelude::*;

/// What the catalogs say of a server.
struct Found {
    wrapper: String,
    server: Vec<String>,
    mapping: Vec<String>,
    may_use: bool,
    has_mapping: bool,
}

/// Makes the connection that `role` has to `server`.
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
    check_password_rule(server, &spec, role)?;
    Ok(spec)
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

fn look_up(server: &str, role: pg_sys::Oid) -> Result<Option<Found>, pgrx::spi::Error> {
    Spi::connect(|client| {
        let sql = include_str!("../../sql/plan/foreign_server.sql");
        let Some(row) = client.select(sql, Some(1), &[server.into(), role.into()])?.next() else {
            return Ok(None);
        };
        let options = |column: &str| -> Result<Vec<String>, pgrx::spi::Error> {
            Ok(row.get_by_name::<Vec<String>, _>(column)?.unwrap_or_default())
        };
        Ok(Some(Found {
            wrapper: row.get_by_name::<String, _>("wrapper")?.unwrap_or_default(),
            server: options("server_options")?,
            mapping: options("mapping_options")?,
            may_use: row.get_by_name("may_use")?.unwrap_or(false),
            has_mapping: row.get_by_name("has_mapping")?.unwrap_or(false),
        }))
    })
}

/// A caller who is no superuser must give a password, and the source must really ask for it:
/// otherwise the stage server's own identity (a trusted address, its operating system user, its
/// certificate) would let any role in. postgres_fdw and dblink have the same rule.
fn check_password_rule(server: &str, spec: &ConnectSpec, role: pg_sys::Oid) -> Result<(), Failure> {
    if is_superuser(role) || spec.password_not_required {
        return Ok(());
    }
    if spec.password.is_none() {
        return Err(Failure::new("2F003", "password is required")
            .with_detail(
                "Callers who are not superusers must provide a password in the user mapping.",
            )
            .with_hint(format!(
                "alter user mapping for current_user server {} options (add password '…');",
                pgrx::spi::quote_identifier(server)
            )));
    }
    let bare = spec.clone();
    if call_source(spec, move |_| source_asks_for_password(&bare))?? {
        return Ok(());
    }
    Err(Failure::new("2F003", "password is required")
        .with_detail(format!("The source behind \"{server}\" does not ask for a password."))
        .with_hint("The source's authentication method must be changed, or a superuser must set password_required 'false' on the user mapping."))
}
