//! Opening a session on the source, and cancelling what it runs.

use super::clock::Clock;
use super::error::SourceError;
use super::options::{ConnectSpec, SslMode};
use super::sql::{Parameters, quote_literal};
use super::tls;
use chrono::{DateTime, Utc};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use postgres::{Client, Config, Row, RowIter, Statement, config};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What a failed connect was about, for its message.
fn connecting(spec: &ConnectSpec) -> String {
    format!("connect to the source {}", spec.place())
}

/// An open session on the source: read-only, UTC, with time limits set.
pub struct Session {
    pub(super) client: Client,
    canceller: Canceller,
    /// What was prepared, by its text.
    statements: HashMap<String, Statement>,
    mode: Mode,
    /// The shortest time in which the source was seen to answer.
    round_trip: Duration,
}

/// What kind of plan the statements of a [`Session`] are to have.
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

impl Mode {
    fn sql(self) -> &'static str {
        match self {
            Mode::Key => include_str!("../../sql/source/mode_key.sql"),
            Mode::Window => include_str!("../../sql/source/mode_window.sql"),
            Mode::Heap => include_str!("../../sql/source/mode_heap.sql"),
            Mode::Scan => include_str!("../../sql/source/mode_scan.sql"),
        }
    }
}

/// Stops the statement that a [`Session`] runs, from any thread.
#[derive(Clone)]
pub struct Canceller {
    token: postgres::CancelToken,
    tls: MakeRustlsConnect,
}

impl Canceller {
    /// Asks the source to cancel; whether it did shows in the session's own outcome.
    pub fn cancel(&self) {
        // A source that cannot be reached runs nothing that we could stop.
        let _ = self.token.cancel_query(self.tls.clone());
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canceller")
    }
}

impl Session {
    /// Opens a session, named `application_name` in the source's pg_stat_activity.
    ///
    /// The TCP connect is bounded by `limits.connect`; the handshake that follows is not (a hung
    /// server can hold it), so the caller must bound the wait from outside.
    ///
    /// # Errors
    /// [`SourceError`], classified; it never holds the password.
    pub fn open(spec: &ConnectSpec, application_name: &str) -> Result<Session, SourceError> {
        let tls = tls::connector(spec)?;
        let mut client = config_of(spec, application_name)?
            .connect(tls.clone())
            .map_err(|e| SourceError::from_client(&connecting(spec), &e))?;
        let canceller = Canceller { token: client.cancel_token(), tls };
        let begun = Instant::now();
        client
            .batch_execute(&session_sql(spec))
            .map_err(|e| SourceError::from_client("set up the source session", &e))?;
        let round_trip = begun.elapsed();
        if let Some(needed) = spec.committed_until {
            Clock::ask(&mut client)?.check(needed)?;
        }
        let statements = HashMap::new();
        Ok(Session { client, canceller, statements, mode: Mode::Key, round_trip })
    }

    /// Whether the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// What the way to the source and back takes, as far as was seen.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Runs a query that was prepared before, or prepares it.
    ///
    /// # Errors
    /// As the client library reports it.
    pub(super) fn query(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, postgres::Error> {
        let statement = self.prepared(sql)?;
        self.client.query(&statement, parameters)
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let begun = Instant::now();
        let statement = self.client.prepare(sql)?;
        self.round_trip = self.round_trip.min(begun.elapsed());
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Starts a query that was prepared before, or prepares it; its rows come in binary.
    ///
    /// # Errors
    /// As the client library reports it.
    pub(super) fn rows(
        &mut self,
        sql: &str,
        parameters: &Parameters,
    ) -> Result<RowIter<'_>, postgres::Error> {
        let statement = self.prepared(sql)?;
        self.client.query_raw(&statement, parameters.iter())
    }

    /// Has the statements that follow planned in that way.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub(super) fn set_mode(&mut self, mode: Mode) -> Result<(), SourceError> {
        if self.mode != mode {
            self.client
                .batch_execute(mode.sql())
                .map_err(|e| SourceError::from_client("set up the source session", &e))?;
            self.mode = mode;
        }
        Ok(())
    }

    /// Runs a query that yields timestamps.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub(super) fn timestamps(
        &mut self,
        sql: &str,
        parameters: &Parameters,
    ) -> Result<Vec<DateTime<Utc>>, SourceError> {
        let failed = |e: postgres::Error| SourceError::from_client("look for new row versions", &e);
        let mut rows = self.rows(sql, parameters).map_err(failed)?;
        let mut times = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            times.push(row.try_get(0).map_err(failed)?);
        }
        Ok(times)
    }

    /// Runs a query that yields one boolean, such as `pause_while`; no row, and null, are false.
    /// Whatever settings it changes are the session's own again afterwards.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it, or when the answer is not one boolean.
    pub fn ask(&mut self, query: &str) -> Result<bool, SourceError> {
        let action = "ask the source whether to pause";
        let failed = |e: postgres::Error| SourceError::from_client(action, &e);
        let no_boolean = |what: String| {
            SourceError::permanent(action, "42804", what)
                .with_hint("pause_while must be a query that gives one boolean.")
        };
        let mut transaction =
            self.client.build_transaction().read_only(true).start().map_err(failed)?;
        let rows = transaction.query(query, &[]).map_err(failed)?;
        transaction.rollback().map_err(failed)?;
        match &rows[..] {
            [] => Ok(false),
            [row] => row
                .try_get::<_, Option<bool>>(0)
                .map(|answer| answer.unwrap_or(false))
                .map_err(|_| {
                    no_boolean(match row.columns() {
                        [column] => {
                            format!("the query returned a value of type {}", column.type_())
                        }
                        columns => format!("the query returned {} columns", columns.len()),
                    })
                }),
            rows => Err(no_boolean(format!("the query returned {} rows", rows.len()))),
        }
    }
}

/// Whether the source really asks for a password: a session without one must fail for the lack of
/// it. A caller who is no superuser may only connect where it does (the rule of postgres_fdw and
/// dblink), because otherwise the stage server's own identity would open the door.
///
/// # Errors
/// [`SourceError`] when the connection fails for another reason.
pub fn source_asks_for_password(spec: &ConnectSpec) -> Result<bool, SourceError> {
    let bare = ConnectSpec { password: None, ..spec.clone() };
    match config_of(&bare, &spec.session_name("password check"))?.connect(tls::connector(&bare)?) {
        Ok(_) => Ok(false),
        Err(e) if is_password_missing(&e) => Ok(true),
        // Refused before any password could count, or no answer: nothing is known then.
        Err(e) => Err(SourceError::from_client(&connecting(spec), &e)),
    }
}

fn is_password_missing(error: &postgres::Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|cause| cause.to_string().contains("password missing"))
}

fn is_socket_folder(host: &str) -> bool {
    host.starts_with('/')
}

fn config_of(spec: &ConnectSpec, application_name: &str) -> Result<Config, SourceError> {
    let mut config = Config::new();
    let host = spec.host_name();
    let local = spec.hostaddr.is_none() && is_socket_folder(host);
    if local {
        config.host_path(Path::new(host));
    } else {
        config.host(host);
        if let Some(addr) = spec.hostaddr.as_deref().and_then(|a| a.parse().ok()) {
            config.hostaddr(addr);
        }
    }
    config.port(spec.port.unwrap_or(5432));
    let user = spec.user.as_deref().ok_or_else(|| {
        SourceError::permanent(&connecting(spec), "28000", "the user mapping names no user")
            .with_hint("alter user mapping for current_user server … options (add user '…');")
    })?;
    config.user(user);
    if let Some(password) = &spec.password {
        config.password(password.reveal());
    }
    if let Some(dbname) = &spec.dbname {
        config.dbname(dbname);
    }
    config.application_name(application_name);
    config.connect_timeout(spec.limits.connect);
    config.keepalives(spec.keepalives.unwrap_or(true));
    config.keepalives_idle(Duration::from_secs(30));
    config.keepalives_interval(Duration::from_secs(10));
    config.keepalives_retries(3);
    config.tcp_user_timeout(Duration::from_secs(60));
    config.ssl_mode(match spec.sslmode {
        // A Unix socket never speaks TLS: as libpq, sslmode does not apply to it.
        _ if local => config::SslMode::Disable,
        SslMode::Disable => config::SslMode::Disable,
        SslMode::Prefer => config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => config::SslMode::Require,
    });
    Ok(config)
}

fn session_sql(spec: &ConnectSpec) -> String {
    let limits = &spec.limits;
    let limit =
        |(name, most): (&str, Duration)| format!("({}, {})", quote_literal(name), most.as_millis());
    let limits = [
        ("statement_timeout", limits.statement),
        ("lock_timeout", limits.lock),
        ("idle_in_transaction_session_timeout", limits.statement),
    ];
    format!(
        "{}set row_security = {};\n{};\n",
        include_str!("../../sql/source/session.sql"),
        if spec.row_security { "on" } else { "off" },
        include_str!("../../sql/source/limits.sql")
            .replace("{limits}", &limits.map(limit).join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Trouble;

    #[test]
    fn a_session_sets_every_time_limit() {
        let sql = session_sql(&ConnectSpec::default());
        for setting in [
            "('statement_timeout', 300000)",
            "('lock_timeout', 10000)",
            "read_only = on",
            "row_security = off",
        ] {
            assert!(sql.contains(setting), "{sql}");
        }
    }

    #[test]
    fn a_mapping_without_a_user_is_refused() {
        let refused = config_of(&ConnectSpec::default(), "x");
        assert!(refused.is_err_and(|e| e.trouble == Trouble::Permanent));
    }
}
