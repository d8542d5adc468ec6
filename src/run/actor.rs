//! Whom a worker acts for.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use std::ffi::CString;

/// Settings of the caller's session that bear on what is done to the target.
const CARRIED_SETTINGS: [&str; 6] = [
    "search_path",
    "synchronous_commit",
    "timezone",
    "datestyle",
    "default_toast_compression",
    "work_mem",
];

/// The caller as its worker needs to know it: database, roles and settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Actor {
    database: u32,
    /// The role whose privileges count.
    role: u32,
    /// The one that logged in.
    session_role: u32,
    settings: Vec<(String, String)>,
}

impl Actor {
    /// The session that asks, in its current role.
    ///
    /// # Errors
    /// [`Failure`] when a setting cannot be read.
    pub fn of_this_session() -> Result<Actor, Failure> {
        let mut settings = Vec::new();
        for name in CARRIED_SETTINGS {
            // Not every version has every setting.
            let sql = "select pg_catalog.current_setting($1, true)";
            if let Some(value) = Spi::get_one_with_args::<String>(sql, &[name.into()])? {
                settings.push((name.to_owned(), value));
            }
        }
        // SAFETY: globals of the backend.
        let (role, session_role, database) =
            unsafe { (pg_sys::GetUserId(), pg_sys::GetSessionUserId(), pg_sys::MyDatabaseId) };
        Ok(Actor {
            database: database.to_u32(),
            role: role.to_u32(),
            session_role: session_role.to_u32(),
            settings,
        })
    }

    /// Connects this worker to the caller's database, in the caller's role and with the settings.
    /// Once, before anything else touches the database.
    pub fn take_over(&self) {
        let database = pg_sys::Oid::from(self.database);
        let session_role = pg_sys::Oid::from(self.session_role);
        // SAFETY: in a worker that has not connected yet. The role is set outside a transaction, so
        // it stands for all of them; xact.c wants no security context there.
        unsafe {
            pg_sys::BackgroundWorkerInitializeConnectionByOid(database, session_role, 0);
            pg_sys::SetUserIdAndSecContext(pg_sys::Oid::from(self.role), 0);
        }
        for (name, value) in &self.settings {
            let (Ok(name), Ok(value)) = (CString::new(name.as_str()), CString::new(value.as_str()))
            else {
                continue;
            };
            // SAFETY: as SET would, inside a transaction that some checks need; one that the caller
            // was allowed to set.
            unsafe {
                pg_sys::StartTransactionCommand();
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SET,
                    true,
                    pg_sys::WARNING as i32,
                    false,
                );
                pg_sys::CommitTransactionCommand();
            }
        }
    }
}
