//! The caller as its workers need it: they act in its role and under its settings.

#![allow(unsafe_code)]

use crate::backend::transaction;
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
pub struct Caller {
    database: u32,
    /// The role whose privileges count.
    role: u32,
    /// The one that logged in.
    session_role: u32,
    /// Whether the role may not be changed by what runs in the caller's name: as within a function
    /// with SECURITY DEFINER.
    confined: bool,
    settings: Vec<(String, String)>,
}

impl Caller {
    /// The session that asks, in its current role.
    ///
    /// # Errors
    /// 42501 within a security-restricted operation: a worker would be free of the restriction.
    pub fn of_this_session() -> Result<Caller, Failure> {
        let (mut role, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: reads globals of the backend.
        let (session_role, database) = unsafe {
            pg_sys::GetUserIdAndSecContext(&mut role, &mut context);
            (pg_sys::GetSessionUserId(), pg_sys::MyDatabaseId)
        };
        let context = context.cast_unsigned();
        if context & pg_sys::SECURITY_RESTRICTED_OPERATION != 0 {
            return Err(Failure::new(
                "42501",
                "cannot start a worker within a security-restricted operation",
            )
            .with_detail("The code was called from another role's ANALYZE, index or view."));
        }
        let confined = context & pg_sys::SECURITY_LOCAL_USERID_CHANGE != 0 || role != session_role;
        let mut settings = Vec::new();
        for name in CARRIED_SETTINGS {
            // Not every version has every setting.
            let sql = "select pg_catalog.current_setting($1, true)";
            if let Some(value) = Spi::get_one_with_args::<String>(sql, &[name.into()])? {
                settings.push((name.to_owned(), value));
            }
        }
        Ok(Caller {
            database: database.to_u32(),
            role: role.to_u32(),
            session_role: session_role.to_u32(),
            confined,
            settings,
        })
    }

    /// Connects this worker to the caller's database, in the caller's role and with the settings.
    /// Once, before anything else touches the database.
    pub fn connect_worker(&self) {
        let database = pg_sys::Oid::from(self.database);
        let session_role = pg_sys::Oid::from(self.session_role);
        // SAFETY: in a worker that has not connected yet. The role is set outside a transaction, so
        // it stands for all of them; xact.c wants no security context there.
        unsafe {
            pg_sys::BackgroundWorkerInitializeConnectionByOid(database, session_role, 0);
            pg_sys::SetUserIdAndSecContext(pg_sys::Oid::from(self.role), 0);
        }
        if self.confined {
            transaction::confine();
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
