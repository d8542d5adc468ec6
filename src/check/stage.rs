//! The stage itself: room for workers, and the settings that bear on a pull, on both sides.

use super::answer::Answer;
use super::connection::set_option;
use super::finding::{Findings, Name};
use super::query::{first_row, look};
use super::words::time;
use crate::backend::role::check_encoding;
use crate::backend::transaction::check_no_standby;
use crate::error::Failure;
use crate::pool::{WITHOUT_WORKERS, no_slot};
use crate::source::{ConnectSpec, SessionFacts};
use pgrx::spi::quote_identifier;

/// How many workers a pull has unless it is told otherwise.
pub const JOBS: u32 = 2;
/// A pull in one statement takes longer than a session's limit below this, in milliseconds.
const SHORT_CALL: i64 = 3_600_000;
/// A page takes longer than a limit below this.
const SHORT_PAGE: i64 = 10_000;

/// Whether workers can be started.
pub fn workers(findings: &mut Findings) {
    let sql = include_str!("../../sql/check/workers.sql");
    let looked = look(|| {
        check_no_standby("pull")?;
        first_row(sql, &[], |row| {
            Ok((row.get::<i32>(1)?.unwrap_or(0), row.get::<i32>(2)?.unwrap_or(0)))
        })
    });
    let (all, used) = match looked {
        Ok(numbers) => numbers,
        Err(failure) => return findings.fails(Name::Workers, failure),
    };
    let free = all - used;
    if free < 1 {
        return findings.fails(Name::Workers, no_slot(WITHOUT_WORKERS));
    }
    let enough = if i64::from(free) < i64::from(JOBS) { "fewer than" } else { "room for" };
    findings.passes(
        Name::Workers,
        format!("{free} of {all} worker processes are free: {enough} the {JOBS} of a pull"),
    );
}

/// The settings that bear on a pull: those of the caller's session, and where the source was asked, those of the
/// session there.
pub fn settings(source: Option<&Answer>, findings: &mut Findings) {
    let sql = include_str!("../../sql/check/settings.sql");
    let looked = look(|| {
        check_encoding()?;
        first_row(sql, &[], |row| {
            let limit = |n| row.get::<i64>(n).map(|limit| limit.unwrap_or(0));
            let listed = row.get::<String>(3)?.unwrap_or_default();
            Ok((limit(1)?, limit(2)?, listed, row.get::<bool>(4)?.unwrap_or(false)))
        })
    });
    let (statement, transaction, listed, read_only) = match looked {
        Ok(settings) => settings,
        Err(failure) => return findings.fails(Name::Settings, failure),
    };
    if read_only {
        let found = "default_transaction_read_only of this session is on: a pull writes";
        let failure =
            Failure::new("25006", found).with_hint("set default_transaction_read_only = off;");
        findings.fails(Name::Settings, failure);
    }
    for (name, limit) in [("statement_timeout", statement), ("transaction_timeout", transaction)] {
        if (1..SHORT_CALL).contains(&limit) {
            let found = format!("{name} of this session is {}: it ends a longer pull", time(limit));
            let failure = Failure::new("57014", found).with_hint(format!("set {name} = 0;"));
            findings.fails(Name::Settings, failure);
        }
    }
    let mut found = format!("stage: {listed}");
    if let Some((Ok(facts), connect)) = source.map(|s| (&s.source.facts, &s.connect)) {
        check_source_limits(facts, connect, findings);
        found.push_str(&format!("; source: encoding {}", facts.encoding));
        for (name, limit) in facts.limits.iter().filter(|(_, limit)| *limit > 0) {
            found.push_str(&format!(", {name} {}", time(*limit)));
        }
    }
    findings.passes(Name::Settings, found);
}

/// Whether a page has its time.
fn check_source_limits(facts: &SessionFacts, connect: &ConnectSpec, findings: &mut Findings) {
    let option = i64::try_from(connect.limits.statement.as_millis()).unwrap_or(i64::MAX);
    let role = quote_identifier(&facts.role);
    for name in ["statement_timeout", "transaction_timeout"] {
        let Some(limit) = facts.limit(name).filter(|limit| *limit < SHORT_PAGE) else { continue };
        let hint = if name == "statement_timeout" && limit >= option {
            set_option(&connect.server, name, "5min")
        } else {
            format!(
                "On the source: alter role {role} set {name} = '5min'; or for the database, where that has it."
            )
        };
        let found = format!(
            "{name} on the source is {}: a page that takes longer comes again smaller",
            time(limit)
        );
        findings.fails(Name::Settings, Failure::new("57014", found).with_hint(hint));
    }
}
