//! The partitions: the index that serves a walk of each, and what is known of its rows.

use super::answer::{Answer, TableAnswer};
use super::finding::{Findings, Name};
use super::words::{count, list, statements};
use crate::error::Failure;
use crate::ledger::{Pipeline, WalkMode};
use crate::plan::{NO_STATISTICS, SurveyedSlice};
use crate::source::{KeyIndex, Part, TableFacts, index_advice};
use pgrx::spi::quote_identifier;

/// Looks at the partitions, where the table is known.
pub fn check(answer: &Answer, pipeline: &Pipeline, findings: &mut Findings) {
    let Ok(table) = &answer.source.table else { return };
    match &table.leaves {
        None => findings.skip(Name::Index, Name::Mapping),
        Some(Ok(slices)) => index(slices, table, pipeline, findings),
        Some(Err(error)) if error.is_row_security() => {
            findings.skip(Name::Index, Name::RowSecurity);
        }
        Some(Err(error)) if error.is_denied() => findings.skip(Name::Index, Name::Role),
        Some(Err(_)) if findings.has_failed(Name::Table) => {
            findings.skip(Name::Index, Name::Table);
        }
        Some(Err(error)) => findings.fails(Name::Index, error.clone()),
    }
    match &table.facts {
        Ok(facts) => statistics(facts, table, answer, findings),
        Err(_) => {
            let cause = if findings.has_failed(Name::Table) { Name::Table } else { Name::Role };
            findings.skip(Name::Statistics, cause);
        }
    }
}

fn index(
    slices: &[SurveyedSlice],
    table: &TableAnswer,
    pipeline: &Pipeline,
    findings: &mut Findings,
) {
    let partitions = count(slices.len(), "partition");
    if pipeline.walk == WalkMode::Heap {
        return findings.passes(Name::Index, format!("{partitions}: by heap: walk = 'heap'"));
    }
    let invalid = |names: &[&str]| -> Vec<&str> {
        let parts = table.facts.as_ref().map_or(&[][..], |facts| &facts.parts);
        let below: Vec<String> =
            names.iter().flat_map(|name| table.table.leaves_below(name)).collect();
        let lies_below = |part: &&Part| below.contains(&part.name);
        let indexes = parts.iter().filter(lies_below).flat_map(|part| &part.invalid_indexes);
        indexes.map(String::as_str).collect()
    };
    let lacking: Vec<&SurveyedSlice> =
        slices.iter().filter(|slice| slice.estimate.index != KeyIndex::Whole).collect();
    let Some(first) = lacking.first() else {
        let mut found = format!("an index has both columns of the key: {partitions}");
        let all: Vec<&str> = slices.iter().map(|slice| &*slice.planned.partition).collect();
        let invalid = invalid(&all);
        if !invalid.is_empty() {
            found.push_str(&format!("; {} invalid", list(&invalid)));
        }
        if let Some(warning) = slices.iter().find_map(|slice| slice.warning.as_ref()) {
            found.push_str(&format!("; {warning}"));
        }
        return findings.passes(Name::Index, found);
    };
    // What `plan` shows: in the access path, that the heap is read for that; or a warning.
    let words = match (first.estimate.index, &first.warning, &first.way) {
        (KeyIndex::Missing, None, Some(way)) => way.as_str(),
        (index, ..) => index.lacking().unwrap_or_default(),
    };
    let names: Vec<&str> = lacking.iter().map(|slice| slice.planned.partition.as_str()).collect();
    let mut found = format!("{words} ({})", list(&names));
    let mut advice = index_advice(&table.table, &names);
    let invalid = invalid(&names);
    if !invalid.is_empty() {
        found.push_str(&format!("; {} invalid", list(&invalid)));
        let reindex = invalid.iter().map(|index| format!("reindex index concurrently {index};"));
        advice = format!("On the source: {} Or: {advice}", statements(reindex));
    }
    findings.fails(Name::Index, Failure::new("55000", found).with_hint(advice));
}

fn statistics(facts: &TableFacts, table: &TableAnswer, answer: &Answer, findings: &mut Findings) {
    let filled: Vec<&Part> = facts.parts.iter().filter(|part| part.is_filled).collect();
    let lacking: Vec<&Part> = filled.iter().copied().filter(|part| !part.has_statistics).collect();
    if lacking.iter().any(|part| part.row_security) {
        // The source shows none then.
        if findings.has_failed(Name::RowSecurity) {
            return findings.skip(Name::Statistics, Name::RowSecurity);
        }
        let found = "the source shows none of a table to which row security applies";
        return findings.passes(Name::Statistics, found);
    }
    if lacking.is_empty() {
        let found = match facts.parts.is_empty() {
            true => format!("none of a {}", facts.kind),
            false => format!("of {}", count(filled.len(), "table")),
        };
        return findings.passes(Name::Statistics, found);
    }
    let names: Vec<&str> = lacking.iter().map(|part| part.name.as_str()).collect();
    let found = format!("{NO_STATISTICS} ({})", list(&names));
    let (seen, hidden): (Vec<&Part>, Vec<&Part>) =
        lacking.iter().partition(|part| part.sees_statistics);
    if findings.has_failed(Name::Role) && !hidden.is_empty() {
        return findings.skip(Name::Statistics, Name::Role);
    }
    let role = answer.source.facts.as_ref().map_or("…", |facts| facts.role.as_str());
    // One that is to be seen may not be there either; the next check tells.
    let grant =
        |part: &Part| format!("grant select on {} to {};", part.name, quote_identifier(role));
    let typed = if seen.len() == filled.len() {
        format!("analyze {};", table.table.sql_name)
    } else {
        let analyze = seen.iter().map(|part| format!("analyze {};", part.name));
        let both: Vec<String> = hidden.iter().map(|part| grant(part)).chain(analyze).collect();
        statements(both.into_iter())
    };
    let hint = format!("On the source: {typed}");
    findings.fails(Name::Statistics, Failure::new("55000", found).with_hint(hint));
}
