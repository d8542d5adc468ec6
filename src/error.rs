//! One failure type for everything that reaches a caller, and the one place that raises it.

use crate::pg_compat;
use crate::source::{OptionError, SourceError};
use crate::transform::MappingError;
use pgrx::PgLogLevel;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use serde::{Deserialize, Serialize};

/// What went wrong, in the words and with the SQLSTATE that the caller sees.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        Failure { sqlstate: sqlstate.to_owned(), message: message.into(), detail: None, hint: None }
    }

    /// A wrong argument (22023).
    pub fn argument(message: impl Into<String>) -> Self {
        Failure::new("22023", message)
    }

    /// Something that cannot happen unless this program is wrong (XX000).
    pub fn internal(message: impl Into<String>) -> Self {
        Failure::new("XX000", message)
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a sentence to the detail.
    pub fn with_more_detail(self, sentence: &str) -> Self {
        let detail = match &self.detail {
            Some(detail) => format!("{detail} {sentence}"),
            None => sentence.to_owned(),
        };
        self.with_detail(detail)
    }

    /// Gives a hint where there is none yet.
    pub fn with_default_hint(self, hint: impl FnOnce() -> String) -> Self {
        if self.hint.is_some() { self } else { self.with_hint(hint()) }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done before what went wrong.
    pub fn during(mut self, action: &str) -> Self {
        self.message = format!("could not {action}: {}", self.message);
        self
    }

    /// Whether the stage may well succeed when the same is tried again.
    pub fn is_transient(&self) -> bool {
        // Serialization, deadlock, lock timeout.
        let passing = ["40001", "40P01", "55P03"].contains(&self.sqlstate.as_str());
        passing || self.is_of_a_lost_node()
    }

    /// Whether a node of a distributed table was lost meanwhile: Citus says so without a SQLSTATE of its own,
    /// or with that of an I/O error. It commits on all nodes or on none. postgres_fdw does not: where a foreign
    /// server is lost, another may have committed, and a second try would bring its rows twice.
    fn is_of_a_lost_node(&self) -> bool {
        let words = match self.sqlstate.as_str() {
            "XX000" => &[
                "SSL SYSCALL error",
                "server closed the connection unexpectedly",
                "failure on connection marked as essential",
            ][..],
            "58030" => &["failed to COPY to shard"][..],
            "08006" => &["connection to the remote node"][..],
            _ => &[],
        };
        words.iter().any(|words| self.message.contains(words))
    }

    /// Whether it is about a row, or a value of it: data exceptions, integrity violations, rows that
    /// a view's check option refuses, values that pass a limit (an index entry, a nesting), and what
    /// triggers raise in words of their own (PL/pgSQL: P0; other languages: 38; any: 09).
    pub fn is_about_a_row(&self) -> bool {
        let classes = ["22", "23", "44", "54", "P0", "38", "09"];
        classes.iter().any(|class| self.sqlstate.starts_with(class))
    }

    /// Whether the target has a row already that excludes this one: by a unique key or an exclusion
    /// constraint.
    pub fn is_conflict(&self) -> bool {
        ["23505", "23P01"].contains(&self.sqlstate.as_str())
    }

    /// Raises the failure as an SQL error; does not return.
    pub fn raise(self) -> ! {
        self.report(PgLogLevel::ERROR);
        unreachable!("ERROR does not return")
    }

    fn report(mut self, level: PgLogLevel) {
        let code = sqlstate_code(&self.sqlstate);
        if sqlstate_text(code) != self.sqlstate {
            // The binding knows the server's own codes; another's goes into the detail.
            let sentence = format!("SQLSTATE {}.", self.sqlstate);
            self = self.with_more_detail(&sentence);
        }
        let mut report = ErrorReport::new(code, self.message, "");
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report.report(level);
    }

    /// What the server said when it threw an error.
    pub fn from_caught(caught: CaughtError) -> Self {
        match caught {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => Failure {
                sqlstate: sqlstate_text(report.sql_error_code()),
                message: report.message().to_owned(),
                detail: report.detail().map(str::to_owned),
                hint: report.hint().map(str::to_owned),
            },
            CaughtError::RustPanic { ereport, .. } => {
                Failure::internal(format!("internal error: {}", ereport.message()))
            }
        }
    }
}

/// Five characters, six bits each (`src/include/utils/elog.h`, `MAKE_SQLSTATE`).
fn sqlstate_code(text: &str) -> PgSqlErrorCode {
    let packed = text.bytes().take(5).enumerate().fold(0i32, |code, (n, byte)| {
        code | (i32::from(byte.wrapping_sub(b'0')) & 0x3f) << (6 * n)
    });
    PgSqlErrorCode::from(packed)
}

fn sqlstate_text(code: PgSqlErrorCode) -> String {
    let packed = code as i32;
    (0..5).map(|n| char::from(((packed >> (6 * n)) & 0x3f) as u8 + b'0')).collect()
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Failure {
            sqlstate: error.sqlstate.clone(),
            message: error.to_string(),
            detail: error.detail,
            hint: error.hint,
        }
    }
}

impl From<MappingError> for Failure {
    fn from(error: MappingError) -> Self {
        let sqlstate = match error {
            MappingError::NoSuchColumn { .. } => "42703",
            MappingError::NotInsertable { .. } => "428C9",
            _ => "22023",
        };
        Failure::new(sqlstate, error.to_string()).with_hint(
            "Correct it: update lrs_extract.pipeline set mapping = … where name = '…'; each column takes one of path, first_of, source, statement, const.",
        )
    }
}

impl From<OptionError> for Failure {
    fn from(error: OptionError) -> Self {
        let message = error.to_string();
        match error {
            OptionError::Unknown { valid: [], .. } => {
                Failure::new("HV00D", message).with_hint("The wrapper itself takes no options.")
            }
            OptionError::Unknown { valid, .. } => Failure::new("HV00D", message)
                .with_hint(format!("Valid options in this context are: {}.", valid.join(", "))),
            OptionError::Unsupported { .. } => Failure::new("HV00D", message),
            OptionError::Value { .. } => Failure::new("22023", message)
                .with_hint("Options are set as: alter server … options (set … '…'); or alter user mapping for … server … options (set … '…');"),
        }
    }
}

impl From<pgrx::spi::Error> for Failure {
    fn from(error: pgrx::spi::Error) -> Self {
        Failure::internal(format!("SPI: {error}"))
    }
}

/// Unwraps, or raises the failure as an SQL error.
pub fn or_raise<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| failure.raise())
}

/// A NOTICE to the caller. A cancel that arrives meanwhile is thrown as from any call of the server.
pub fn notice(message: &str) {
    let code = PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION;
    pg_compat::report(ErrorReport::new(code, message.to_owned(), ""), PgLogLevel::NOTICE);
}

/// The same, with what to do about it.
pub fn notice_with_hint(message: &str, hint: Option<&str>) {
    let code = PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION;
    let mut report = ErrorReport::new(code, message.to_owned(), "");
    if let Some(hint) = hint {
        report = report.set_hint(hint.to_owned());
    }
    pg_compat::report(report, PgLogLevel::NOTICE);
}

/// A WARNING to the caller; for the rest, as [`notice`].
pub fn warning(message: &str) {
    let code = PgSqlErrorCode::ERRCODE_WARNING;
    pg_compat::report(ErrorReport::new(code, message.to_owned(), ""), PgLogLevel::WARNING);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_survive_the_packing() {
        for text in ["22023", "57014", "HV00D", "XX000", "08006", "P0001", "428C9"] {
            assert_eq!(sqlstate_text(sqlstate_code(text)), text);
        }
    }
}
