//! A session on the source, and cancelling what it runs.

pub(super) mod facts;
use super::client::{Answer, Client, Pulse};
use super::clock::Clock;
use super::dial::{Dialled, Route, dial};
use super::error::SourceError;
use super::options::ConnectSpec;
use super::session_sql::{Mode, Scope, settings};
use super::sql::Parameters;
use super::version::{OLDEST, PARAMETER, PRODUCT, number, too_old};
use chrono::{DateTime, Utc};
use postgres::types::{ToSql, Type};
use postgres::{Error, Row, SimpleQueryMessage, Statement};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};
use tokio_postgres::CancelToken;

/// An open session on the source: read-only, UTC, with time limits set.
pub struct Session {
    client: Client,
    canceller: Canceller,
    kind: Kind,
    mode: Mode,
    /// The shortest time in which the source was seen to answer.
    round_trip: Duration,
}

/// Whose the session is.
enum Kind {
    /// This client's, for as long as the connection stands: what was prepared stays, by its text.
    Own { statements: HashMap<String, Statement> },
    /// A pooler's, which may give it to others after each transaction: each has its settings for
    /// itself, and leaves nothing behind.
    Pooled { settings: String, in_transaction: bool },
}

/// A value and its type, for a statement.
pub(super) type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

/// Stops the statement that a [`Session`] runs, from any thread.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    route: Route,
}

impl Canceller {
    /// Asks the source to cancel; whether it did shows in the session's own outcome.
    pub fn cancel(&self) {
        self.route.cancel(&self.token);
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canceller")
    }
}

/// A setting that nobody else has, by which a session is known to be this client's own.
const MARKER: &str = "lrs_extract_client.session";
const SET_UP: &str = "set up the source session";

impl Session {
    /// Opens a session, named `application_name` in the source's pg_stat_activity.
    ///
    /// The way into the server is bounded by `limits.connect`; the statements that follow are not, so
    /// the caller must bound the wait from outside.
    ///
    /// # Errors
    /// [`SourceError`], classified; it never holds the password.
    pub fn open(spec: &ConnectSpec, application_name: &str) -> Result<Session, SourceError> {
        let marker = format!("{:016x}", RandomState::new().build_hasher().finish());
        let marked = format!("-c {MARKER}={marker}");
        let (dialled, is_marked) = match dial(spec, application_name, Some(&marked)) {
            // A pooler that cannot hand it on to the server; each has words of its own.
            Err(error) if error.may_be_about_options() => {
                (dial(spec, application_name, None)?, false)
            }
            dialled => (dialled?, true),
        };
        let Dialled { client, route, asked_for_password } = dialled;
        if spec.must_ask_for_password && !asked_for_password {
            return Err(SourceError::permanent(
                &format!("connect to the source {}", spec.place()),
                "2F003",
                "password is required",
            )
            .with_detail("The source did not ask for a password. A caller who is no superuser may not connect where the stage server's own identity opens the door.")
            .with_hint("The source's authentication method must be changed, or a superuser must set password_required 'false' on the user mapping."));
        }
        let canceller = Canceller { token: client.cancel_token(), route };
        let kind = Kind::Own { statements: HashMap::new() };
        let mut session =
            Session { client, canceller, kind, mode: Mode::Key, round_trip: Duration::MAX };
        // Before anything is set: if the session is shared, others would meet it.
        session.recognize(is_marked.then_some(&*marker), spec)?;
        if let Some(needed) = spec.committed_until {
            session.clock()?.check(needed)?;
        }
        Ok(session)
    }

    /// Finds out whose session it is, and sets it up if it is this client's own: then it has the
    /// setting that the client asked for at its start.
    fn recognize(&mut self, marker: Option<&str>, spec: &ConnectSpec) -> Result<(), SourceError> {
        let failed = |e: Error| SourceError::from_client(SET_UP, &e);
        let begun = Instant::now();
        let sql = include_str!("../../sql/source/recognize.sql").replace("{marker}", MARKER);
        // No name, in no transaction: nothing stays of it, whoever has the session next.
        let answer = self.all_rows(&sql);
        self.round_trip = begun.elapsed();
        let version = match &answer {
            Ok(rows) => rows.first().and_then(|row| row.try_get("version").ok()),
            // One that is too old may not even understand the question.
            Err(_) => self.client.parameter(PARAMETER).and_then(number),
        };
        if let Some(version) = version.filter(|version| *version < OLDEST) {
            return Err(self.too_old(version));
        }
        let rows = answer.map_err(failed)?;
        let row = rows.first().ok_or_else(|| no_answer(SET_UP))?;
        let marked: Option<String> = row.try_get("marked").map_err(failed)?;
        if marker.is_some() && marked.as_deref() == marker {
            return self.client.batch_execute(&settings(spec, Scope::Session)).map_err(failed);
        }
        self.kind =
            Kind::Pooled { settings: settings(spec, Scope::Transaction), in_transaction: false };
        Ok(())
    }

    fn too_old(&mut self, version: i32) -> SourceError {
        let said = self.client.parameter(PARAMETER).map(str::to_owned);
        let rows = self.all_rows(PRODUCT).unwrap_or_default();
        let product = rows.first().and_then(|row| row.try_get::<_, String>(0).ok());
        too_old(SET_UP, version, said.as_deref(), product.as_deref())
    }

    /// Whether the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// When the source last gave a sign of life.
    pub fn pulse(&self) -> Pulse {
        self.client.pulse()
    }

    /// What the way to the source and back takes, as far as was seen.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Runs a query, which is prepared where that can stay.
    ///
    /// # Errors
    /// As the client library reports it.
    pub(super) fn query(&mut self, sql: &str, parameters: &[Typed<'_>]) -> Result<Vec<Row>, Error> {
        let answer = self.start(sql, parameters.iter().map(|(value, of)| (*value, of.clone())))?;
        Rows { session: self, answer }.collect()
    }

    /// Runs a query that yields one row, and is asked once.
    ///
    /// # Errors
    /// [`SourceError`], met while doing `action`.
    pub(super) fn one(&mut self, action: &str, sql: &str) -> Result<Row, SourceError> {
        let failed = |e: Error| SourceError::from_client(action, &e);
        self.begin().map_err(failed)?;
        let started = self.client.start_unnamed(sql, [] as [Typed<'_>; 0]);
        let answer = self.or_leave(started).map_err(failed)?;
        let rows = Rows { session: self, answer }.collect().map_err(failed)?;
        rows.into_iter().next().ok_or_else(|| no_answer(action))
    }

    /// Asks the source for its clock.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn clock(&mut self) -> Result<Clock, SourceError> {
        Clock::read(&self.one(Clock::ACTION, Clock::QUESTION)?)
    }

    /// Starts a query that is asked again and again.
    ///
    /// # Errors
    /// As the client library reports it.
    pub(super) fn rows(&mut self, sql: &str, parameters: &Parameters) -> Result<Rows<'_>, Error> {
        let answer = self.start(sql, parameters.typed())?;
        Ok(Rows { session: self, answer })
    }

    /// Starts a query that is asked once.
    ///
    /// # Errors
    /// As the client library reports it.
    pub(super) fn rows_once(
        &mut self,
        sql: &str,
        parameters: &Parameters,
    ) -> Result<Rows<'_>, Error> {
        self.begin()?;
        let started = self.client.start_unnamed(sql, parameters.typed());
        let answer = self.or_leave(started)?;
        Ok(Rows { session: self, answer })
    }

    fn start<'a>(
        &mut self,
        sql: &str,
        parameters: impl ExactSizeIterator<Item = Typed<'a>>,
    ) -> Result<Answer, Error> {
        self.begin()?;
        let Kind::Own { statements } = &mut self.kind else {
            let started = self.client.start_unnamed(sql, parameters);
            return self.or_leave(started);
        };
        let statement = match statements.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let begun = Instant::now();
                let statement = self.client.prepare(sql)?;
                self.round_trip = self.round_trip.min(begun.elapsed());
                statements.insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        self.client.start(&statement, parameters.map(|(value, _)| value))
    }

    /// Runs statements in the simple protocol, and returns what they say.
    ///
    /// # Errors
    /// As the client library reports it.
    pub(super) fn simple_query(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.begin()?;
        let answer = self.client.simple_query(sql);
        let answer = self.or_leave(answer)?;
        self.end()?;
        Ok(answer)
    }

    /// Begins the transaction that a statement has for itself in a session that is not this client's.
    fn begin(&mut self) -> Result<(), Error> {
        let Kind::Pooled { settings, in_transaction } = &mut self.kind else { return Ok(()) };
        if std::mem::replace(in_transaction, true) {
            // Of one whose rows were not read to their end.
            self.client.batch_execute(LEAVE)?;
        }
        let begun = Instant::now();
        let sql = format!("{BEGIN}{settings}{}", self.mode.sql(Scope::Transaction));
        let begin = self.client.batch_execute(&sql);
        self.or_leave(begin)?;
        self.round_trip = self.round_trip.min(begun.elapsed());
        Ok(())
    }

    /// `outcome`, after which a transaction that failed is not left open: others wait for its session.
    fn or_leave<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let (Err(_), Kind::Pooled { in_transaction, .. }) = (&outcome, &mut self.kind) {
            // Where that fails too, the connection is gone.
            let _ = self.client.batch_execute(LEAVE);
            *in_transaction = false;
        }
        outcome
    }

    /// Ends that transaction.
    fn end(&mut self) -> Result<(), Error> {
        let Kind::Pooled { in_transaction, .. } = &mut self.kind else { return Ok(()) };
        self.client.batch_execute("commit")?;
        *in_transaction = false;
        Ok(())
    }

    /// Has the statements that follow planned in that way.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub(super) fn set_mode(&mut self, mode: Mode) -> Result<(), SourceError> {
        if self.mode != mode && matches!(self.kind, Kind::Own { .. }) {
            self.client
                .batch_execute(&mode.sql(Scope::Session))
                .map_err(|e| SourceError::from_client(SET_UP, &e))?;
        }
        self.mode = mode;
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
        let failed = |e: Error| SourceError::from_client("look for new row versions", &e);
        let mut rows = self.rows(sql, parameters).map_err(failed)?;
        let mut times = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            times.push(row.try_get(0).map_err(failed)?);
        }
        Ok(times)
    }

    fn all_rows(&mut self, query: &str) -> Result<Vec<Row>, Error> {
        let mut answer = self.client.start_unnamed(query, [] as [Typed<'_>; 0])?;
        let mut rows = Vec::new();
        while let Some(row) = self.client.next(&mut answer)? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Runs a query that yields one boolean, such as `pause_while`; no row, and null, are false.
    /// Whatever settings it changes are the session's own again afterwards.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it, or when the answer is not one boolean.
    pub fn ask(&mut self, query: &str) -> Result<bool, SourceError> {
        let action = "ask the source whether to pause";
        let failed = |e: Error| SourceError::from_client(action, &e);
        let no_boolean = |what: String| {
            SourceError::permanent(action, "42804", what)
                .with_hint("pause_while must be a query that gives one boolean.")
        };
        match &self.kind {
            Kind::Own { .. } => self.client.batch_execute(BEGIN),
            Kind::Pooled { .. } => self.begin(),
        }
        .map_err(failed)?;
        let rows = self.all_rows(query);
        let left = self.client.batch_execute(LEAVE);
        if let Kind::Pooled { in_transaction, .. } = &mut self.kind {
            *in_transaction = false;
        }
        let rows = rows.and_then(|rows| left.map(|()| rows)).map_err(failed)?;
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

/// Begins a transaction that reads.
const BEGIN: &str = include_str!("../../sql/source/begin.sql");
/// Ends one of which nothing is to stay.
const LEAVE: &str = "rollback";

fn no_answer(action: &str) -> SourceError {
    SourceError::permanent(action, "XX000", "the source gave no row")
}

/// The rows of a statement that was started.
pub(super) struct Rows<'a> {
    session: &'a mut Session,
    answer: Answer,
}

impl Rows<'_> {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// As the client library reports it.
    pub fn next(&mut self) -> Result<Option<Row>, Error> {
        let row = self.session.client.next(&mut self.answer);
        let row = self.session.or_leave(row)?;
        if row.is_none() {
            self.session.end()?;
        }
        Ok(row)
    }

    fn collect(mut self) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        while let Some(row) = self.next()? {
            rows.push(row);
        }
        Ok(rows)
    }
}
