//! The options of a foreign server and a user mapping, and the connection they describe.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// A value that no message, log line or `Debug` output shows.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The secret itself, for the client library only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// libpq's `sslmode`, without `allow` (which prefers no encryption and has no use here).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    pub fn as_str(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => return None,
        })
    }
}

/// The time limits of a source session. None of them may be zero: a source is never left with an
/// unbounded statement.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    pub connect: Duration,
    pub statement: Duration,
    pub lock: Duration,
}

impl Limits {
    /// How long to wait for a session that can be used. The way into the server is bounded by
    /// `connect`, twice where a pooler is met; what follows is only noticed by this.
    pub fn until_connected(&self) -> Duration {
        self.connect * 2 + Duration::from_secs(5)
    }

    /// How long to wait for a sign of life while the source works on a statement: past its own
    /// timeout, the network may be gone without a word.
    pub fn until_answered(&self) -> Duration {
        self.statement + Duration::from_secs(15)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(10),
            statement: Duration::from_secs(300),
            lock: Duration::from_secs(10),
        }
    }
}

/// Everything needed to open a session on the source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ConnectSpec {
    /// The foreign server's name, for messages.
    pub server: String,
    pub host: Option<String>,
    pub hostaddr: Option<String>,
    pub port: Option<u16>,
    pub dbname: Option<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub sslmode: SslMode,
    pub sslrootcert: Option<String>,
    pub sslcert: Option<String>,
    pub sslkey: Option<String>,
    pub keepalives: Option<bool>,
    pub application_name: Option<String>,
    /// Whether policies of row security may filter what is read; else the source refuses.
    pub row_security: bool,
    pub limits: Limits,
    /// `password_required 'false'` of the mapping: a superuser's leave to connect without one.
    pub password_not_required: bool,
    /// Whether each connection must be one on which the source asked for the password.
    pub must_ask_for_password: bool,
    /// What a session must show of the past: everything committed before this. A standby may show
    /// less than one did before; see [`super::Clock`].
    pub committed_until: Option<DateTime<Utc>>,
}

/// An option that cannot be used, in words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionError {
    #[error("invalid option \"{name}\"")]
    Unknown { name: String, valid: &'static [&'static str] },
    #[error("option \"{name}\" of libpq is not supported here: {reason}")]
    Unsupported { name: String, reason: &'static str },
    #[error("invalid value for option \"{name}\": {reason}")]
    Value { name: String, reason: String },
}

/// Options that libpq has and this wrapper has not, and why.
const UNSUPPORTED: [(&str, &str); 17] = [
    (
        "channel_binding",
        "the client binds the channel wherever server and TLS can, and requires it nowhere",
    ),
    ("client_encoding", "the client speaks UTF8"),
    ("fallback_application_name", "application_name has a default"),
    ("gssdelegation", "the client has no GSSAPI"),
    ("gssencmode", "the client has no GSSAPI"),
    ("gsslib", "the client has no GSSAPI"),
    ("krbsrvname", "the client has no GSSAPI"),
    ("load_balance_hosts", "a server is one host"),
    (
        "options",
        "the session's settings are the extension's own; set others for the role: alter role … set …",
    ),
    ("passfile", "the password is in the user mapping"),
    ("replication", "sessions are plain ones"),
    (
        "require_auth",
        "the client takes what the server asks for; a caller who is no superuser is held to a password",
    ),
    ("service", "write its parameters as options"),
    ("sslcrl", "the client reads no revocation list"),
    ("sslcrldir", "the client reads no revocation list"),
    ("target_session_attrs", "a server is one host; name the standby itself"),
    ("tcp_user_timeout", "it is 60 s"),
];

/// The options that a foreign server takes.
pub fn server_options() -> &'static [&'static str] {
    &[
        "host",
        "hostaddr",
        "port",
        "dbname",
        "sslmode",
        "sslrootcert",
        "connect_timeout",
        "statement_timeout",
        "lock_timeout",
        "keepalives",
        "application_name",
        "row_security",
    ]
}

/// The options that a user mapping takes.
pub fn user_mapping_options() -> &'static [&'static str] {
    &["user", "password", "sslcert", "sslkey", "password_required"]
}

impl ConnectSpec {
    /// How a session for `purpose` is named on the source.
    pub fn session_name(&self, purpose: &str) -> String {
        format!("{} {purpose}", self.application_name.as_deref().unwrap_or("lrs_extract"))
    }

    /// Sets one option of a server or a user mapping.
    ///
    /// # Errors
    /// [`OptionError`] when the option is in neither list or its value cannot be read. A value is
    /// never repeated in the error where it may be a secret.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let text = || Some(value.to_owned());
        match name {
            "host" if value.contains(',') => return Err(bad(name, "one host, not a list")),
            "host" => self.host = text(),
            "hostaddr" => {
                let parsed: Result<std::net::IpAddr, _> = value.parse();
                parsed.map_err(|_| bad(name, "an IP address, such as 10.0.0.1"))?;
                self.hostaddr = text();
            }
            "port" => {
                let port = value.parse().ok().filter(|p| *p > 0);
                self.port = Some(port.ok_or_else(|| bad(name, "a number from 1 to 65535"))?);
            }
            "dbname" => self.dbname = text(),
            "sslmode" => {
                self.sslmode = SslMode::parse(value).ok_or_else(|| {
                    bad(name, "one of disable, prefer, require, verify-ca, verify-full")
                })?;
            }
            "sslrootcert" => self.sslrootcert = text(),
            "connect_timeout" => self.limits.connect = duration(name, value, "s")?,
            "statement_timeout" => self.limits.statement = duration(name, value, "ms")?,
            "lock_timeout" => self.limits.lock = duration(name, value, "ms")?,
            "keepalives" => self.keepalives = Some(boolean(name, value)?),
            "application_name" => self.application_name = text(),
            "row_security" => self.row_security = boolean(name, value)?,
            "user" => self.user = text(),
            "password" => self.password = Some(Secret::new(value)),
            "sslcert" => self.sslcert = text(),
            "sslkey" => self.sslkey = text(),
            "password_required" => self.password_not_required = !boolean(name, value)?,
            _ => return Err(OptionError::Unknown { name: name.to_owned(), valid: &[] }),
        }
        Ok(())
    }

    /// Checks one option against the list of the catalog object it is set on.
    ///
    /// # Errors
    /// [`OptionError::Unknown`] with the valid names, or what [`ConnectSpec::set`] refuses.
    pub fn validate(
        name: &str,
        value: &str,
        valid: &'static [&'static str],
    ) -> Result<(), OptionError> {
        if !valid.contains(&name) {
            if let Some((_, reason)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) {
                return Err(OptionError::Unsupported { name: name.to_owned(), reason });
            }
            return Err(OptionError::Unknown { name: name.to_owned(), valid });
        }
        ConnectSpec::default().set(name, value)
    }

    /// Whether `other` shows the server the same user, password and certificate.
    pub fn is_same_identity(&self, other: &ConnectSpec) -> bool {
        let identity = |spec: &ConnectSpec| {
            let password = spec.password.as_ref().map(|secret| secret.reveal().to_owned());
            (spec.user.clone(), password, spec.sslcert.clone(), spec.sslkey.clone())
        };
        identity(self) == identity(other)
    }

    /// Whether `other` leads to the same server and database.
    pub fn is_same_place(&self, other: &ConnectSpec) -> bool {
        let place = |spec: &ConnectSpec| {
            (spec.host.clone(), spec.hostaddr.clone(), spec.port, spec.dbname.clone())
        };
        place(self) == place(other)
    }

    /// The host's name; an address alone stands for it, as libpq has it where no name is verified.
    pub(super) fn host_name(&self) -> &str {
        self.host.as_deref().or(self.hostaddr.as_deref()).unwrap_or("localhost")
    }

    /// The folder of the Unix socket, where the host is one.
    pub(super) fn socket_folder(&self) -> Option<&Path> {
        let host = self.host_name();
        (self.hostaddr.is_none() && host.starts_with('/')).then(|| Path::new(host))
    }

    /// How the source is named in messages: server, host, port and database, never a secret.
    pub fn place(&self) -> String {
        let host = self.host_name();
        let port = self.port.unwrap_or(5432);
        let dbname = self.dbname.as_deref().or(self.user.as_deref()).unwrap_or("");
        format!("{} ({host}:{port}/{dbname})", self.server)
    }
}

fn bad(name: &str, expected: &str) -> OptionError {
    OptionError::Value { name: name.to_owned(), reason: format!("expected {expected}") }
}

fn boolean(name: &str, value: &str) -> Result<bool, OptionError> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "true" | "yes" | "t" | "y" => Ok(true),
        "0" | "off" | "false" | "no" | "f" | "n" => Ok(false),
        _ => Err(bad(name, "a boolean")),
    }
}

/// A time span as PostgreSQL's settings write it: a whole number and a unit (us, ms, s, min, h, d).
fn duration(name: &str, value: &str, default_unit: &str) -> Result<Duration, OptionError> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let unit = match unit.trim() {
        "" => default_unit,
        unit => unit,
    };
    let micros_each: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(bad(name, "a time with a unit of us, ms, s, min, h or d")),
    };
    // statement_timeout is an int of milliseconds on the source: no more than 24 days.
    const MOST: Duration = Duration::from_millis(i32::MAX as u64);
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(micros_each))
        .map(Duration::from_micros)
        .filter(|d| *d >= Duration::from_millis(1) && *d <= MOST)
        .ok_or_else(|| bad(name, "a time above zero and up to 24 days, such as '5min'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_never_zero() {
        let mut spec = ConnectSpec::default();
        spec.set("statement_timeout", "5min").unwrap();
        spec.set("connect_timeout", "3").unwrap();
        spec.set("lock_timeout", "250").unwrap();
        assert_eq!(spec.limits.statement, Duration::from_secs(300));
        assert_eq!(spec.limits.connect, Duration::from_secs(3));
        assert_eq!(spec.limits.lock, Duration::from_millis(250));
        for zero in ["0", "0s", "-1", "", "soon", "5 lightyears", "99999999d"] {
            assert!(spec.set("statement_timeout", zero).is_err(), "{zero}");
        }
    }

    #[test]
    fn an_option_of_the_mapping_is_none_of_the_server() {
        let refused = ConnectSpec::validate("password", "x", server_options());
        assert!(matches!(refused, Err(OptionError::Unknown { valid, .. }) if valid.len() == 12));
        assert!(ConnectSpec::validate("password", "x", user_mapping_options()).is_ok());
    }

    #[test]
    fn an_option_of_libpq_is_refused_with_the_reason() {
        for name in ["channel_binding", "target_session_attrs", "service"] {
            let refused = ConnectSpec::validate(name, "x", server_options());
            assert!(matches!(refused, Err(OptionError::Unsupported { .. })), "{name}: {refused:?}");
        }
        assert!(UNSUPPORTED.iter().all(|(name, _)| !server_options().contains(name)));
    }

    #[test]
    fn a_list_of_hosts_is_refused_when_it_is_set() {
        let refused = ConnectSpec::validate("host", "db1,db2", server_options());
        assert!(matches!(refused, Err(OptionError::Value { .. })), "{refused:?}");
    }

    #[test]
    fn every_listed_option_can_be_set() {
        let sample = |name: &str| match name {
            "hostaddr" => "127.0.0.1",
            "port" => "5432",
            "sslmode" => "verify-full",
            "keepalives" | "password_required" | "row_security" => "true",
            name if name.ends_with("_timeout") => "5s",
            _ => "text",
        };
        for name in server_options().iter().chain(user_mapping_options()) {
            assert_eq!(ConnectSpec::default().set(name, sample(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let mut spec = ConnectSpec::default();
        spec.set("password", "hunter2").unwrap();
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
