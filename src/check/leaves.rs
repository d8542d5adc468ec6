//! The partitions: the index that serves a walk of each, and what is known of its rows.

use super::answer::{Answer, TableAnswer};
use super::finding::{Findings, Name};
use super::words::{count, list};
use crate::error::Failure;
use crate::ledger::{Pipeline, WalkMode};
use crate::plan::{NO_STATISTICS, SurveyedSlice};
use crate::source::{KeyIndex, Part, TableFacts, index_advice};
use pgrx::spi::quote_identifier;

/// Statements that are spelled out.
const MOST: usize = 8;

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
    let invalid: Vec<&str> = match &table.facts {
        Ok(facts) => {
            facts.parts.iter().flat_map(|part| &part.invalid_indexes).map(String::as_str).collect()
        }
        Err(_) => Vec::new(),
    };
    let lacking: Vec<&SurveyedSlice> =
        slices.iter().filter(|slice| slice.estimate.index != KeyIndex::Whole).collect();
    let Some(first) = lacking.first() else {
        let mut found = format!("an index has both columns of the key: {partitions}");
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
    if !invalid.is_empty() {
        found.push_str(&format!("; {} invalid", list(&invalid)));
        let statements: Vec<_> = invalid
            .iter()
            .take(MOST)
            .map(|index| format!("reindex index concurrently {index};"))
            .collect();
        advice = format!("On the source: {} Or: {advice}", statements.join(" "));
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
    let hidden: Vec<&str> =
        lacking.iter().filter(|part| !part.may_select).map(|part| part.name.as_str()).collect();
    let role = answer.source.facts.as_ref().map_or("…", |facts| facts.role.as_str());
    let statements: Vec<String> = if !hidden.is_empty() {
        // One that is to be seen may not be there either; the next check tells.
        let grant = |name: &&str| format!("grant select on {name} to {};", quote_identifier(role));
        hidden.iter().take(MOST).map(grant).collect()
    } else if lacking.len() == filled.len() {
        vec![format!("analyze {};", table.table.sql_name)]
    } else {
        names.iter().take(MOST).map(|name| format!("analyze {name};")).collect()
    };
    if findings.has_failed(Name::Role) && !hidden.is_empty() {
        return findings.skip(Name::Statistics, Name::Role);
    }
    let hint = format!("On the source: {}", statements.join(" "));
    findings.fails(Name::Statistics, Failure::new("55000", found).with_hint(hint));
}
