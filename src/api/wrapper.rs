//! The foreign data wrapper's validator: the wrapper itself only keeps connections.

use crate::backend::role::{current_role, is_superuser};
use crate::error::{Failure, or_raise};
use crate::source::{ConnectSpec, server_options, user_mapping_options};
use pgrx::prelude::*;

/// Checks the options of a server or a user mapping of the wrapper `lrs_extract`. It alone works beside SQL objects of
/// another version: it needs none, and pg_upgrade and the scripts of other versions call it.
#[pg_extern(name = "validate_options")]
fn validate_options(options: Vec<Option<String>>, catalog: pg_sys::Oid) {
    or_raise(check(&options, catalog));
}

fn check(options: &[Option<String>], catalog: pg_sys::Oid) -> Result<(), Failure> {
    let valid = if catalog == pg_sys::ForeignServerRelationId {
        server_options()
    } else if catalog == pg_sys::UserMappingRelationId {
        user_mapping_options()
    } else {
        &[]
    };
    for option in options.iter().flatten() {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        ConnectSpec::validate(name, value, valid)?;
        if ["sslcert", "sslkey"].contains(&name) && !is_superuser(current_role()) {
            return Err(Failure::new("42501", format!("only a superuser may set {name}"))
                .with_hint("Files are read as the stage server's own user."));
        }
        if name == "password_required" && is_false(value) && !is_superuser(current_role()) {
            return Err(Failure::new(
                "42501",
                "only a superuser may set password_required 'false'",
            )
            .with_hint("It lets the stage server's own identity open the source."));
        }
    }
    Ok(())
}

fn is_false(value: &str) -> bool {
    let mut spec = ConnectSpec::default();
    spec.set("password_required", value).is_ok() && spec.password_not_required
}
