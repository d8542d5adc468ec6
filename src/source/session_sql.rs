//! The SQL by which a session, or a transaction, is set up.

use super::options::ConnectSpec;
use super::sql::quote_literal;
use std::time::Duration;

/// What kind of plan the statements of a session are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// An index that gives rows in the order of keys.
    Key,
    /// An index for what to read, and the heap in its own order: the blocks are asked for ahead.
    Window,
    /// The heap by its blocks.
    Heap,
    /// The heap from its begin to its end.
    Scan,
}

/// For how long a setting is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Session,
    /// Nothing of it stays: whose session it is when the transaction has ended, nobody knows.
    Transaction,
}

impl Scope {
    /// `sql` with its settings made for that long. A transaction begins with the session's own, so
    /// that nothing is to be reset in it.
    fn apply(self, sql: &str) -> String {
        let (local, is_local) = match self {
            Scope::Session => ("", "false"),
            Scope::Transaction => ("local ", "true"),
        };
        let meant = |line: &&str| self == Scope::Session || !line.starts_with("reset ");
        let lines: Vec<_> = sql.lines().filter(meant).collect();
        lines.join("\n").replace("{local}", local).replace("{is_local}", is_local)
    }
}

impl Mode {
    pub fn sql(self, scope: Scope) -> String {
        scope.apply(match self {
            Mode::Key => include_str!("../../sql/source/mode_key.sql"),
            Mode::Window => include_str!("../../sql/source/mode_window.sql"),
            Mode::Heap => include_str!("../../sql/source/mode_heap.sql"),
            Mode::Scan => include_str!("../../sql/source/mode_scan.sql"),
        })
    }
}

/// What every session begins with, or every transaction of one that is not this client's own.
pub(super) fn settings(spec: &ConnectSpec, scope: Scope) -> String {
    let limits = &spec.limits;
    let limit =
        |(name, most): (&str, Duration)| format!("({}, {})", quote_literal(name), most.as_millis());
    let limits = [
        ("statement_timeout", limits.statement),
        ("lock_timeout", limits.lock),
        ("idle_in_transaction_session_timeout", limits.statement),
    ];
    scope.apply(&format!(
        "{}set {{local}}row_security = {};\n{};\n",
        include_str!("../../sql/source/session.sql"),
        if spec.row_security { "on" } else { "off" },
        include_str!("../../sql/source/limits.sql")
            .replace("{limits}", &limits.map(limit).join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_sets_every_time_limit() {
        let sql = settings(&ConnectSpec::default(), Scope::Session);
        for setting in [
            "('statement_timeout', 300000)",
            "('lock_timeout', 10000)",
            "\nset default_transaction_read_only = on",
            "\nset row_security = off",
        ] {
            assert!(sql.contains(setting), "{sql}");
        }
        assert!(!sql.contains('{'), "{sql}");
    }

    #[test]
    fn nothing_that_a_transaction_sets_outlives_it() {
        let mut sql = settings(&ConnectSpec::default(), Scope::Transaction);
        for mode in [Mode::Key, Mode::Window, Mode::Heap, Mode::Scan] {
            sql.push_str(&mode.sql(Scope::Transaction));
            sql.push('\n');
        }
        for line in sql.lines() {
            assert!(!line.starts_with("set ") || line.starts_with("set local "), "{line}");
            assert!(!line.starts_with("reset "), "{line}");
        }
        assert!(!sql.contains("false)") && !sql.contains('{'), "{sql}");
    }
}
