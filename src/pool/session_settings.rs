//! The settings of a session, to be had by another.

#![allow(unsafe_code)]

use crate::backend::transaction::catching;
use crate::error::warning;
use crate::pg_compat;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};

/// What a worker decides itself: its name and encoding, its role, the kind of its transactions, and
/// limits on statements that clients send. (`role` and `session_authorization` are no user's settings in
/// all versions.)
const OWN: [&str; 15] = [
    "application_name",
    "client_encoding",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "role",
    "seed",
    "session_authorization",
    "statement_timeout",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
];

/// What bears on the rows themselves, and so is carried whatever has set it: the worker's login may have
/// another value.
const ALWAYS: [&str; 6] = [
    "datestyle",
    "default_toast_compression",
    "search_path",
    "synchronous_commit",
    "timezone",
    "work_mem",
];

/// A setting that a new session of the same login need not have: set in the session, or by ALTER ROLE
/// and ALTER DATABASE, which may have changed since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    name: String,
    value: String,
    /// Whether not everybody may set it.
    is_restricted: bool,
}

impl Setting {
    /// Those of this session. Not by pg_settings, which leaves out what no library has defined, such as
    /// `app.user`.
    pub fn of_this_session() -> Vec<Setting> {
        // SAFETY: the server's own list, on the main thread; each entry is there until the process ends.
        let variables = pg_compat::guc_variables().map(|variable| unsafe { &*variable });
        let carried = variables.filter(|variable| {
            let from_session = matches!(
                variable.source,
                pg_sys::GucSource::PGC_S_GLOBAL
                    | pg_sys::GucSource::PGC_S_DATABASE
                    | pg_sys::GucSource::PGC_S_USER
                    | pg_sys::GucSource::PGC_S_DATABASE_USER
                    | pg_sys::GucSource::PGC_S_CLIENT
                    | pg_sys::GucSource::PGC_S_INTERACTIVE
                    | pg_sys::GucSource::PGC_S_SESSION
            );
            let may_be_set = matches!(
                variable.context,
                pg_sys::GucContext::PGC_USERSET | pg_sys::GucContext::PGC_SUSET
            );
            may_be_set && (from_session || is_always_carried(variable))
        });
        carried
            .filter_map(|variable| {
                // SAFETY: a name ends with a zero byte; the value is copied before anything changes it.
                let (name, value) = unsafe {
                    let name = CStr::from_ptr(variable.name);
                    let value = pg_sys::GetConfigOption(variable.name, true, false);
                    (name, (!value.is_null()).then(|| CStr::from_ptr(value)))
                };
                let name = name.to_str().ok()?;
                let value = value?.to_str().ok()?.to_owned();
                let is_restricted = variable.context == pg_sys::GucContext::PGC_SUSET;
                (!OWN.contains(&name)).then(|| Setting {
                    name: name.to_owned(),
                    value,
                    is_restricted,
                })
            })
            .collect()
    }

    /// A limit of the server, at none.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    pub fn lifted(name: &str) -> Setting {
        Setting { name: name.to_owned(), value: "0".to_owned(), is_restricted: false }
    }

    /// Makes it this session's, as SET does.
    pub fn set(&self) {
        let (Ok(name), Ok(value)) =
            (CString::new(self.name.as_str()), CString::new(self.value.as_str()))
        else {
            return;
        };
        let context = match self.is_restricted {
            true => pg_sys::GucContext::PGC_SUSET,
            false => pg_sys::GucContext::PGC_USERSET,
        };
        let outcome = catching(|| {
            // SAFETY: inside a transaction, which some checks need; the caller was allowed to set it. As
            // a client does when it connects: a value that cannot be used is no error then.
            unsafe {
                pg_sys::StartTransactionCommand();
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    context,
                    pg_sys::GucSource::PGC_S_CLIENT,
                    pg_sys::GucAction::GUC_ACTION_SET,
                    true,
                    pg_sys::WARNING as i32,
                    false,
                );
                pg_sys::CommitTransactionCommand();
            }
            Ok(())
        });
        if let Err(failure) = outcome {
            // SAFETY: the transaction is the one that was begun above.
            unsafe { pg_sys::AbortCurrentTransaction() };
            warning(&format!("lrs_extract could not set {} in a worker: {failure}", self.name));
        }
    }
}

fn is_always_carried(variable: &pg_sys::config_generic) -> bool {
    // SAFETY: a name ends with a zero byte.
    let name = unsafe { CStr::from_ptr(variable.name) }.to_bytes();
    ALWAYS.iter().any(|always| always.as_bytes().eq_ignore_ascii_case(name))
}
