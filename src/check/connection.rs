//! The connection, and what protects it.

use super::answer::Answer;
use super::finding::{Findings, Name};
use super::query::{first_row, look};
use crate::error::Failure;
use crate::source::{ConnectSpec, Protection, SessionFacts, SslMode};
use pgrx::spi::quote_identifier;

/// No TLS came about.
const NO_TLS: &str = "08001";

/// Where there is no connection.
pub fn refused(failure: &Failure, findings: &mut Findings) {
    let cause = if failure.sqlstate == NO_TLS { Name::Tls } else { Name::Connection };
    findings.fails(cause, failure.clone());
    findings.skip_rest(cause);
}

/// Where there is one.
pub fn check(answer: &Answer, findings: &mut Findings) {
    let Ok(facts) = &answer.source.facts else { return };
    findings.passes(
        Name::Connection,
        format!(
            "{}: PostgreSQL {}, a {}, as {}, in a session {}",
            answer.connect.place(),
            facts.version,
            if facts.is_standby { "standby" } else { "primary" },
            facts.role,
            if facts.is_pooled { "of a pooler" } else { "of its own" }
        ),
    );
    tls(facts, &answer.connect, findings);
}

/// What is to be said of how the session is protected.
pub fn tls(facts: &SessionFacts, connect: &ConnectSpec, findings: &mut Findings) {
    let sslmode = connect.sslmode;
    match facts.protection {
        Protection::Local => {
            findings.passes(Name::Tls, "not encrypted, and on this machine alone");
        }
        Protection::None => findings.fails(
            Name::Tls,
            Failure::new(
                NO_TLS,
                format!(
                    "the connection is not encrypted, with sslmode '{}': who is on the way reads what is pulled",
                    sslmode.as_str()
                ),
            )
            .with_hint(verify_full(connect)),
        ),
        Protection::Encrypted => {
            let version = facts.tls.as_deref().filter(|_| !facts.is_pooled);
            let version = version.map(|version| format!(" by {version}")).unwrap_or_default();
            let behind = match (facts.is_pooled, &facts.tls) {
                (true, None) => "; from the pooler to the server, it is not encrypted",
                _ => "",
            };
            let (verified, advice) = match sslmode {
                SslMode::VerifyFull => ("the server's certificate and name are verified", None),
                SslMode::VerifyCa => ("the server's certificate is verified, its name is not", None),
                SslMode::Require if connect.sslrootcert.is_some() => {
                    ("the server's certificate is verified, its name is not", None)
                }
                _ => ("who the server is is not verified", Some(verify_full(connect))),
            };
            let found = format!("encrypted{version}, {verified}{behind}");
            findings.passes_with_advice(Name::Tls, found, advice);
        }
    }
}

fn verify_full(connect: &ConnectSpec) -> String {
    format!(
        "{} -- and sslrootcert, where the system does not know who has signed the server's certificate",
        set_option(&connect.server, "sslmode", "verify-full")
    )
}

/// The statement that sets an option of a server, whether it has it or not.
pub fn set_option(server: &str, name: &str, value: &str) -> String {
    let sql = include_str!("../../sql/check/has_option.sql");
    let has = look(|| first_row(sql, &[server.into(), name.into()], |row| row.get::<bool>(1)));
    let verb = if has.is_ok_and(|has| has == Some(true)) { "set" } else { "add" };
    format!("alter server {} options ({verb} {name} '{value}');", quote_identifier(server))
}
