//! The target on the stage, and whether the mapping fits it and the source.

use super::answer::Answer;
use super::finding::{Findings, Name};
use super::query::{first_row, look};
use super::words::{count, list};
use crate::error::Failure;
use crate::ledger::Pipeline;
use crate::load::Target;
use crate::plan::{LeavesQuery, bind, check_privileges, target_of};
use crate::transform::BoundMapping;
use pgrx::pg_sys;
use pgrx::spi::quote_literal;

/// What the stage has.
pub struct TargetCheck {
    pub target: Option<Target>,
    mapping: Option<BoundMapping>,
    /// The target by its cluster, database and oid.
    identity: Option<String>,
    pipeline: String,
}

/// Looks at the target, and at the mapping beside it; `unreadable` is why there is none.
pub fn check(
    pipeline: &Pipeline,
    unreadable: Option<Failure>,
    findings: &mut Findings,
) -> TargetCheck {
    let mut found = TargetCheck {
        target: None,
        mapping: None,
        identity: None,
        pipeline: pipeline.name.clone(),
    };
    if let Some(failure) = unreadable {
        findings.fails(Name::Mapping, failure);
    }
    let target = match look(|| target_of(pipeline)) {
        Ok(target) => target,
        Err(failure) => {
            findings.fails(Name::Target, failure);
            findings.skip(Name::Mapping, Name::Target);
            return found;
        }
    };
    let allowed = look(|| {
        check_privileges(pipeline, &target)?;
        target.check_seen_by_workers()
    });
    match allowed.and_then(|()| look(|| described(&target))) {
        Ok((words, identity)) => {
            findings.passes(Name::Target, words);
            found.identity = identity;
        }
        Err(failure) => findings.fails(Name::Target, failure),
    }
    let bound = look(|| {
        let mapping = bind(pipeline, &target)?;
        LeavesQuery::new(pipeline, Some(&target), 1)?;
        Ok(mapping)
    });
    match bound {
        Ok(mapping) => {
            let columns = count(pipeline.mapping.columns.len(), "column");
            findings.passes(
                Name::Mapping,
                format!(
                    "fills {columns} of {}; times without a zone are in {}",
                    target.sql_name, pipeline.time_zone
                ),
            );
            found.mapping = Some(mapping);
        }
        Err(failure) => findings.fails(Name::Mapping, failure),
    }
    found.target = Some(target);
    found
}

/// The target in words, and its identity.
fn described(target: &Target) -> Result<(String, Option<String>), Failure> {
    let sql = include_str!("../../sql/check/target.sql");
    let (unique, identity) = first_row(sql, &[pg_sys::Oid::from(target.oid).into()], |row| {
        Ok((row.get::<Vec<String>>(1)?.unwrap_or_default(), row.get::<String>(2)?))
    })?;
    let unique: Vec<&str> = unique.iter().map(String::as_str).collect();
    let mut words = format!("{}, {}", target.sql_name, count(target.columns.len(), "column"));
    match unique.is_empty() {
        true => words.push_str(", no unique key"),
        false => words.push_str(&format!(", unique by {}", list(&unique))),
    }
    if target.may_take_away {
        words.push_str(
            "; a trigger, a rule, or what is behind a view or a foreign table may take rows away",
        );
    }
    Ok((words, identity))
}

impl TargetCheck {
    /// Further columns of the source that the mapping asks for.
    pub fn extra_columns(&self) -> Vec<String> {
        self.mapping.as_ref().map(|mapping| mapping.extra_columns().to_vec()).unwrap_or_default()
    }

    /// Holds both against the source.
    pub fn check_against(&self, answer: &Answer, findings: &mut Findings) {
        let Ok(source) = &answer.source.table else { return };
        if let Err(error) = &source.extra {
            findings.fails(Name::Mapping, error.clone());
        }
        let same = self.identity.as_ref().zip(source.table.identity.as_ref());
        if same.is_some_and(|(target, source)| target == source) {
            let failure = Failure::new("55000", "the target is the source's own table").with_hint(
                format!(
                    "Name another: update lrs_extract.pipeline set target_table = '…' where name = {};",
                    quote_literal(&self.pipeline)
                ),
            );
            findings.fails(Name::Target, failure);
        }
    }
}
