//! The source's table, its key, and what the role may read of it.

use super::answer::{Answer, TableAnswer};
use super::finding::{Findings, Name};
use super::stage::JOBS;
use super::words::{count, list, size, statements};
use crate::error::Failure;
use crate::ledger::Pipeline;
use crate::source::{ROLE_LIMIT, SessionFacts, SourceError, StatementKind, TableFacts};
use pgrx::spi::quote_identifier;

/// Columns that are missing or of a type that serves no walk.
const ABOUT_COLUMNS: [&str; 2] = ["42703", "42804"];

/// Looks at the role, the table, its key, and row security.
pub fn check(answer: &Answer, pipeline: &Pipeline, findings: &mut Findings) {
    let table = match &answer.source.table {
        Ok(table) => table,
        Err(error) => return unknown(error, answer, pipeline, findings),
    };
    for refusal in table.refusals() {
        if refusal.is_row_security() {
            findings.fails(Name::RowSecurity, refusal.clone());
        } else if refusal.is_denied() {
            findings.fails(Name::Role, refusal.clone());
        }
    }
    match &table.facts {
        Ok(facts) => {
            relation(table, facts, answer, findings);
            row_security(facts, answer, findings);
        }
        Err(error) if error.is_denied() => {
            findings.skip(Name::Table, Name::Role);
            findings.skip(Name::RowSecurity, Name::Role);
        }
        Err(error) => {
            findings.fails(Name::Table, error.clone());
            findings.skip(Name::RowSecurity, Name::Table);
        }
    }
    key(table, findings);
    role(answer, &format!("may read {}", table.table.sql_name), findings);
}

/// Where there is no description of the table.
fn unknown(error: &SourceError, answer: &Answer, pipeline: &Pipeline, findings: &mut Findings) {
    let cause = match error {
        error if error.is_denied() => Name::Role,
        error if ABOUT_COLUMNS.contains(&error.sqlstate.as_str()) => Name::Key,
        _ => Name::Table,
    };
    findings.fails(cause, error.clone());
    if cause == Name::Key {
        findings.passes(Name::Table, format!("{} exists", pipeline.source_table));
    }
    for name in [Name::Table, Name::Key, Name::Index, Name::Statistics, Name::RowSecurity] {
        findings.skip(name, cause);
    }
    role(answer, "may connect", findings);
}

fn relation(table: &TableAnswer, facts: &TableFacts, answer: &Answer, findings: &mut Findings) {
    let name = &table.table.sql_name;
    let unlogged = facts.parts.iter().filter(|part| part.is_unlogged).map(|part| &*part.name);
    let unlogged: Vec<&str> = unlogged.collect();
    if !unlogged.is_empty() && table.table.clock.standby {
        let found = format!("a standby has no rows of what is unlogged: {}", list(&unlogged));
        let logged =
            statements(unlogged.iter().map(|part| format!("alter table {part} set logged;")));
        let failure = Failure::new("55000", found).with_hint(format!(
            "On the primary: {logged} Or let the server lead to the primary: alter server {} options (set host '…');",
            quote_identifier(&answer.connect.server)
        ));
        return findings.fails(Name::Table, failure);
    }
    let rows: f64 = facts.parts.iter().map(|part| part.rows).sum();
    let bytes = facts.parts.iter().map(|part| part.bytes).sum();
    let what = match facts.kind {
        "partitioned table" => format!(
            "a partitioned table, {} with about {rows:.0} rows in {}",
            count(facts.parts.len(), "partition"),
            size(bytes)
        ),
        kind if facts.parts.is_empty() => format!("a {kind}"),
        kind => format!("a {kind} with about {rows:.0} rows in {}", size(bytes)),
    };
    let unlogged = if unlogged.is_empty() { "" } else { ", unlogged" };
    findings.passes(Name::Table, format!("{name}, {what}{unlogged}"));
}

fn key(table: &TableAnswer, findings: &mut Findings) {
    let names = &table.table.names;
    let [timestamp, actor, statement] =
        [&names.timestamp, &names.actor, &names.statement].map(quote_identifier);
    let mut found = format!(
        "({timestamp}, {actor}); {statement} is {}",
        match table.table.statement_kind {
            StatementKind::Jsonb => "jsonb",
            StatementKind::Text => "text",
        }
    );
    match &table.outside {
        Ok(Some(outside)) if outside.is_counted() => {
            let name = &table.table.sql_name;
            let hint = format!(
                "Give them a time on the source, if they are wanted: update {name} set {timestamp} = … where {timestamp} is null or not isfinite({timestamp});"
            );
            let failure = Failure::new("22008", outside.to_string()).with_hint(hint);
            return findings.fails(Name::Key, failure);
        }
        Ok(Some(outside)) => found.push_str(&format!("; {outside}")),
        Ok(None) => {}
        Err(error) if error.is_denied() || error.is_row_security() => {}
        Err(error) => return findings.fails(Name::Key, error.clone()),
    }
    findings.passes(Name::Key, found);
}

fn row_security(facts: &TableFacts, answer: &Answer, findings: &mut Findings) {
    let found = match (facts.row_security, answer.connect.row_security) {
        (false, _) => "no policy hides rows from the role",
        (true, true) => "policies decide which rows are pulled, as row_security 'on' has it",
        // A refusal said so.
        (true, false) => "policies apply to the role",
    };
    findings.passes(Name::RowSecurity, found);
}

fn role(answer: &Answer, may: &str, findings: &mut Findings) {
    let Ok(SessionFacts { role, is_superuser, connection_limit, .. }) = &answer.source.facts else {
        return;
    };
    if let Some(limit) = connection_limit.filter(|limit| *limit < JOBS) {
        let of = quote_identifier(role);
        let hint = ROLE_LIMIT.replacen("alter role …", &format!("alter role {of}"), 1);
        let found = format!(
            "role {of} may have {}, and a pull {JOBS}",
            count(limit as usize, "connection")
        );
        findings.fails(Name::Role, Failure::new("53300", found).with_hint(hint));
    }
    let limit = match connection_limit {
        Some(limit) => format!("at most {}", count(*limit as usize, "connection")),
        None => "no limit of its connections".to_owned(),
    };
    let superuser =
        if *is_superuser { "a superuser, which reading does not need" } else { "no superuser" };
    findings.passes(Name::Role, format!("{role} {may}; {superuser}; {limit}"));
}
