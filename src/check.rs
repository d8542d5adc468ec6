//! Whether a pull of a pipeline would go through: a row a check, each with what was found and what to type.
//!
//! In: the name of a pipeline. Out: [`Finding`]s, the same ones in the same order whatever fails. Where `plan` and
//! `pull` would refuse, a finding has their words, because it asks by the same functions. Nothing is written on
//! either side, and no transaction id is taken. Called by `api`.

mod answer;
mod clock;
mod connection;
mod finding;
mod leaves;
mod query;
mod source;
mod stage;
mod table;
mod target;
mod words;

pub use finding::Finding;

use crate::backend::role::current_role;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::ledger::{Pipeline, WalkMode};
use crate::plan::{LeavesQuery, directions};
use crate::settings;
use crate::source::TYPICAL_PAGE;
use crate::threads::SourceClient;
use answer::{Answer, Asked};
use finding::Findings;
use target::TargetCheck;

/// Checks the pipeline `name` for the current role.
///
/// # Errors
/// 42704 where there is no such pipeline; what fails beyond that is in the findings.
pub fn check(name: &str) -> Result<Vec<Finding>, Failure> {
    Subtransaction::look(|| look(name))
}

fn look(name: &str) -> Result<Vec<Finding>, Failure> {
    settings::warn_of_unknown();
    let (pipeline, unreadable) = Pipeline::look(name)?;
    let mut findings = Findings::default();
    let target = target::check(&pipeline, unreadable, &mut findings);
    let answer = ask(&pipeline, &target);
    match &answer {
        Err(failure) => connection::refused(failure, &mut findings),
        Ok(answer) => tell(answer, &pipeline, &target, &mut findings),
    }
    stage::workers(&mut findings);
    stage::settings(answer.ok().as_ref(), &mut findings);
    Ok(findings.into_rows())
}

/// Asks the source, in one session.
fn ask(pipeline: &Pipeline, target: &TargetCheck) -> Result<Answer, Failure> {
    let client = SourceClient::new(directions(&pipeline.server, current_role()), "check")?;
    let asked = Asked {
        names: pipeline.source_names(&[]),
        extra: target.extra_columns(),
        leaves: leaves(pipeline, target),
    };
    // Once: who looks on sees at once what is wrong.
    let source = client.call(move |session| Ok(source::ask(session, &asked)))??;
    Ok(Answer { source, connect: client.led_to() })
}

/// What the row `tls` says of a session like this.
#[cfg(any(test, feature = "pg_test"))]
pub fn tls(facts: &crate::source::SessionFacts, connect: &crate::source::ConnectSpec) -> Finding {
    let mut findings = Findings::default();
    connection::tls(facts, connect, &mut findings);
    findings.into_rows().swap_remove(1)
}

/// What to ask of the partitions. Where the target keeps the pipeline's walk from being made, that of the
/// others: it tells as well what the role may read.
fn leaves(pipeline: &Pipeline, target: &TargetCheck) -> Option<LeavesQuery> {
    let query = |walk| {
        let pipeline = Pipeline { walk, ..pipeline.clone() };
        let target = target.target.as_ref();
        query::look(|| LeavesQuery::new(&pipeline, target, TYPICAL_PAGE)).ok()
    };
    query(pipeline.walk).or_else(|| query(WalkMode::Key))
}

/// Says what the source has answered.
fn tell(answer: &Answer, pipeline: &Pipeline, target: &TargetCheck, findings: &mut Findings) {
    if let Err(error) = &answer.source.facts {
        return connection::refused(&error.clone().into(), findings);
    }
    connection::check(answer, findings);
    clock::check(answer, pipeline, findings);
    table::check(answer, pipeline, findings);
    leaves::check(answer, pipeline, findings);
    target.check_against(answer, findings);
}
