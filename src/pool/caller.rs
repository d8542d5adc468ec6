//! The caller as its workers need it: they act in its role and under its settings.

#![allow(unsafe_code)]

use super::session_settings::Setting;
use crate::backend::extension::check_version;
use crate::backend::transaction;
use crate::error::Failure;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

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
    settings: Vec<Setting>,
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
        Ok(Caller {
            database: database.to_u32(),
            role: role.to_u32(),
            session_role: session_role.to_u32(),
            confined,
            settings: Setting::of_this_session(),
        })
    }

    /// Connects this worker to the caller's database, in the caller's role and with the settings.
    /// Once, before anything else touches the database.
    ///
    /// # Errors
    /// 55000 where the SQL objects have become those of another version since the call began.
    pub fn connect_worker(&self) -> Result<(), Failure> {
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
        self.settings.iter().for_each(Setting::set);
        // Meant for transactions that clients forget; a batch takes as long as it takes.
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        Setting::lifted("transaction_timeout").set();
        transaction::in_transaction(check_version)
    }
}
