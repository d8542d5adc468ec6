//! What can go wrong with the source, and whether it is worth trying again.

use postgres::error::{DbError, SqlState};
use std::error::Error as _;

/// What a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Connection lost, restart, standby conflict, serialization, no slot: try again later.
    Transient,
    /// Nobody there: no such host, no way to it, no answer. As [`Trouble::Transient`] for who was
    /// connected before; for who was not, more likely a wrong option.
    Unreachable,
    /// The source's statement_timeout ran out: try again with a smaller page.
    StatementTimeout,
    /// Trying again gives the same: wrong password, missing table, no permission.
    Permanent,
}

/// A failure while talking to the source.
#[derive(Clone, Debug, thiserror::Error)]
#[error("could not {action}: {message}")]
pub struct SourceError {
    /// What was being done, as a verb phrase ("connect to the source").
    pub action: String,
    /// What the server or the client library said.
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The SQLSTATE; 08006 where the server did not say one.
    pub sqlstate: String,
    pub trouble: Trouble,
}

impl SourceError {
    pub fn permanent(action: &str, sqlstate: &str, message: impl Into<String>) -> Self {
        SourceError {
            action: action.to_owned(),
            message: message.into(),
            detail: None,
            hint: None,
            sqlstate: sqlstate.to_owned(),
            trouble: Trouble::Permanent,
        }
    }

    pub fn transient(action: &str, sqlstate: &str, message: impl Into<String>) -> Self {
        SourceError {
            trouble: Trouble::Transient,
            ..SourceError::permanent(action, sqlstate, message)
        }
    }

    /// Whether it can be about a single row: a value that storage has damaged, or that cannot be sent or
    /// computed.
    pub fn is_damage(&self) -> bool {
        // Much else is an internal error, too.
        let internal = ["toast", "jsonb", "invalid memory alloc request size"];
        self.trouble == Trouble::Permanent
            && match self.sqlstate.as_str() {
                "XX001" => true,
                "XX000" => internal.iter().any(|word| self.message.contains(word)),
                state => state.starts_with("22"),
            }
    }

    /// Whether a refused connection may have been refused for the options that it asked for.
    pub fn may_be_about_options(&self) -> bool {
        ["0A000", "08P01", "22023", "42704", "28000", "XX000"].contains(&self.sqlstate.as_str())
            && ["option", "startup", "parameter"].iter().any(|word| self.message.contains(word))
    }

    /// Whether the role lacks a privilege.
    pub fn is_denied(&self) -> bool {
        self.sqlstate == "42501" && !self.is_row_security()
    }

    /// Whether the source refuses because a policy would hide rows.
    pub fn is_row_security(&self) -> bool {
        self.hint.as_deref() == Some(ROW_SECURITY)
    }

    pub fn unreachable(action: &str, sqlstate: &str, message: impl Into<String>) -> Self {
        SourceError {
            trouble: Trouble::Unreachable,
            ..SourceError::permanent(action, sqlstate, message)
        }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error of the client library, met during `action`.
    pub fn from_client(action: &str, error: &postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return SourceError::from_server(action, db);
        }
        let cause = error.source().map(ToString::to_string);
        let message = match &cause {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        // The client library has no public kinds; its texts are its interface here.
        let text = error.to_string();
        if text.contains("invalid configuration") || text.contains("authentication error") {
            return SourceError::permanent(action, "28000", message).with_hint(
                "Check user and password of the user mapping: alter user mapping … options (set password '…').",
            );
        }
        SourceError::transient(action, "08006", message)
    }

    /// Whether the server refuses the password: wrong, or changed there and not yet here.
    pub fn is_wrong_password(&self) -> bool {
        self.sqlstate == "28P01"
    }

    fn from_server(action: &str, db: &DbError) -> Self {
        if db.message().contains("statement pooling") {
            return SourceError::permanent(action, db.code().code(), db.message()).with_hint(
                "Set pool_mode of the pooler to transaction or session, or connect to the server itself: alter server … options (set host '…', set port '…');",
            );
        }
        SourceError {
            action: action.to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().map(str::to_owned),
            hint: match db.routine() {
                // "query would be affected by row-level security policy for table …"
                Some("check_enable_rls") => Some(ROW_SECURITY),
                // "too many connections for role …", "… for database …"
                Some("InitializeSessionUserId") if *db.code() == SqlState::TOO_MANY_CONNECTIONS => {
                    Some(ROLE_LIMIT)
                }
                Some("CheckMyDatabase") if *db.code() == SqlState::TOO_MANY_CONNECTIONS => {
                    Some(DATABASE_LIMIT)
                }
                _ => db.hint().or_else(|| hint(db.code())),
            }
            .map(str::to_owned),
            sqlstate: db.code().code().to_owned(),
            trouble: match db.routine() {
                // "cached plan must not change result type": the table was altered since the page's
                // query was prepared. Another session prepares it anew.
                Some("RevalidateCachedQuery") => Trouble::Transient,
                _ => classify(db.code(), db.message()),
            },
        }
    }
}

/// What to do where the role has no connection left.
pub const ROLE_LIMIT: &str = "Raise the role's limit on the source: alter role … connection limit …; or call pull with fewer jobs.";
const DATABASE_LIMIT: &str = "Raise the database's limit on the source: alter database … connection limit …; or call pull with fewer jobs.";
const ROW_SECURITY: &str = "A policy of that table would hide rows, in silence. On the source: alter role … bypassrls; or, where the rows that the policy shows are all that is wanted: alter server … options (add row_security 'on');";

/// What to do about a refusal that the source gives no hint for.
fn hint(code: &SqlState) -> Option<&'static str> {
    Some(match code.code() {
        "3D000" => "Check the option dbname: alter server … options (set dbname '…');",
        "42501" => "Grant it on the source: grant usage on schema … to …; grant select on … to …;",
        "42P01" | "42703" => "Check the names in lrs_extract.pipeline.",
        "57014" => {
            "Raise the option statement_timeout: alter server … options (set statement_timeout '…'); and on the source that of the role or the database, where one is stricter; see lrs_extract.plan for a missing index."
        }
        "53300" => "Raise max_connections on the source, or call pull with fewer jobs.",
        code if code.starts_with("28") => {
            "Check user and password: alter user mapping for … server … options (set password '…');"
        }
        _ => return None,
    })
}

fn classify(code: &SqlState, message: &str) -> Trouble {
    if *code == SqlState::QUERY_CANCELED {
        // 57014 is both a statement timeout and somebody's pg_cancel_backend; the text tells which, and
        // where the source speaks another language the smaller page does no harm either.
        return if message.contains("user request") {
            Trouble::Transient
        } else {
            Trouble::StatementTimeout
        };
    }
    if ["25P04", "72000"].contains(&code.code()) {
        // transaction_timeout, from 17 on, and a snapshot too old: a page is a transaction.
        return Trouble::StatementTimeout;
    }
    let transient = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::OBJECT_IN_USE,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    // 08 connection, 53 resources (too many connections, memory, disk), 58 system trouble.
    let classes = ["08", "53", "58"];
    // 57P05: idle_session_timeout, from 14 on.
    if code.code() == "57P05"
        || transient.contains(code)
        || classes.iter().any(|c| code.code().starts_with(c))
    {
        Trouble::Transient
    } else {
        Trouble::Permanent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_transient_and_a_missing_table_is_not() {
        assert_eq!(classify(&SqlState::ADMIN_SHUTDOWN, ""), Trouble::Transient);
        assert_eq!(classify(&SqlState::TOO_MANY_CONNECTIONS, ""), Trouble::Transient);
        assert_eq!(classify(&SqlState::UNDEFINED_TABLE, ""), Trouble::Permanent);
        assert_eq!(classify(&SqlState::INVALID_PASSWORD, ""), Trouble::Permanent);
        assert_eq!(classify(&SqlState::from_code("72000"), ""), Trouble::StatementTimeout);
    }

    #[test]
    fn damage_is_about_a_row_and_other_internal_errors_are_not() {
        for (sqlstate, message, damage) in [
            ("22021", "invalid byte sequence for encoding \"UTF8\": 0xff", true),
            ("XX001", "missing chunk number 0 for toast value 17 in pg_toast_16", true),
            ("XX000", "unexpected chunk number 1 (expected 0) for toast value 17", true),
            ("XX000", "cache lookup failed for type 17", false),
            ("42501", "permission denied", false),
        ] {
            let error = SourceError::permanent("read", sqlstate, message);
            assert_eq!(error.is_damage(), damage, "{sqlstate} {message}");
        }
        assert!(!SourceError::transient("read", "22021", "").is_damage());
    }

    #[test]
    fn a_statement_timeout_is_told_from_a_cancel() {
        let timeout = "canceling statement due to statement timeout";
        let cancel = "canceling statement due to user request";
        assert_eq!(classify(&SqlState::QUERY_CANCELED, timeout), Trouble::StatementTimeout);
        assert_eq!(classify(&SqlState::QUERY_CANCELED, cancel), Trouble::Transient);
    }
}
