//! What to do next: each step with the command to type, where there is one.

use super::names;
use super::notes::{MANY_FALLBACKS, checkpoints_forced, idle_seconds, quiet};
use crate::report::parts::Part;
use crate::report::quarters::{Drift, Quarters};
use crate::report::words::{self, sql_moment};
use crate::report::{Facts, RunState};
use crate::source::quote_literal;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub text: String,
    /// The command, in lines.
    pub sql: Option<String>,
}

/// The steps, the most urgent first.
pub fn steps(facts: &Facts, quarters: Option<&Quarters>) -> Vec<Step> {
    let mut steps = Vec::new();
    go_on(facts, &mut steps);
    act_on(facts, quarters, &mut steps);
    if facts.run.rejected > 0 {
        let sql = format!(
            "select column_name, sqlstate, message, statement\n  from lrs_extract.reject\n where \
             run_id = {}\n limit 20;",
            facts.run.run_id
        );
        steps.push(with("Look at what was rejected, and whether the mapping should change.", sql));
    }
    if facts.run.state == RunState::Done {
        let sql = format!("select * from lrs_extract.verify({});", period(facts));
        steps.push(with("Compare source and target, slice by slice.", sql));
    }
    steps
}

/// What keeps the run going, or takes it up again.
fn go_on(facts: &Facts, steps: &mut Vec<Step>) {
    let run = &facts.run;
    match run.state {
        RunState::Done => {}
        RunState::Running => {
            let what = if quiet(facts).is_some() {
                "See what each worker waits for."
            } else {
                "Watch it."
            };
            let sql = format!("select * from lrs_extract.progress where run_id = {};", run.run_id);
            steps.push(with(what, sql));
        }
        _ if run.again => steps.push(only(
            "It was called with again => true: the same call begins anew, and loads once more what \
             this run committed. Delete those rows from the target first.",
        )),
        RunState::Failed => steps.push(with(
            "Remove the cause of the error, then make the same call again: it goes on from the \
             watermark. What was committed stays.",
            call(facts),
        )),
        RunState::Cancelled | RunState::Interrupted => steps.push(with(
            "Make the same call again: it goes on from the watermark. What was committed stays.",
            call(facts),
        )),
    }
}

/// What makes the next run faster.
fn act_on(facts: &Facts, quarters: Option<&Quarters>, steps: &mut Vec<Step>) {
    let stage = &facts.stage;
    let grew = match quarters.map(|q| q.drift) {
        Some(Drift::Slower { part, larger_rows: false }) => Some(part),
        _ => None,
    };
    let insert_matters = grew == Some(Part::Insert) || facts.shares.verdict == Part::Insert.name();
    if insert_matters && !stage.indexes.is_empty() {
        let sized: Vec<String> = stage
            .indexes
            .iter()
            .map(|i| format!("{} {}", i.name, words::size(i.bytes as f64)))
            .collect();
        steps.push(only(format!(
            "The target's indexes ({}) are written row by row, and each insert reads from disk \
             what of them is not in shared_buffers. Drop those that the load does not need and \
             build them afterwards.",
            names(&sized)
        )));
    }
    if insert_matters && !stage.triggers.is_empty() {
        steps.push(only("See whether the row triggers are needed while the period is loaded."));
    }
    if checkpoints_forced(facts).is_some() {
        let rate = match stage.wal_bytes {
            Some(bytes) if bytes > 0 && facts.seconds() > 0.0 => format!(
                ", so that a checkpoint_timeout's worth of WAL fits (the run wrote {} a minute)",
                words::size(bytes as f64 / facts.seconds() * 60.0)
            ),
            _ => String::new(),
        };
        steps.push(only(format!("Raise max_wal_size on the stage{rate}.")));
    }
    if let Some(text) = grew.and_then(cure) {
        steps.push(only(text));
    }
    steps.extend(narrower(facts));
    if facts.run.fallbacks as f64 > MANY_FALLBACKS * facts.run.rows.max(0) as f64 {
        steps.push(only(
            "Check that lrs_extract.fast_jsonb is on. If it is, the statements hold what the fast \
             reader leaves to the server; they are right all the same.",
        ));
    }
}

/// Slices of half the width, where workers had none left to pull.
fn narrower(facts: &Facts) -> Option<Step> {
    const DAY: f64 = 86_400.0;
    idle_seconds(facts)?;
    let widths = facts.slices.iter().map(|s| words::seconds_between(s.from, s.to));
    let half = widths.fold(0.0, f64::max) / 2.0;
    let width = match half {
        half if half >= DAY => plain((half / DAY) as i64, "day"),
        half if half >= 3_600.0 => plain((half / 3_600.0) as i64, "hour"),
        _ => return None,
    };
    let sql = format!(
        "update lrs_extract.pipeline\n   set slice_width = interval '{width}'\n where name = {};",
        quote_literal(&facts.run.pipeline).trim()
    );
    Some(with("Narrower slices spread over all workers until the end.", sql))
}

/// What to look at when a part grew over the run; for insert, see the indexes.
fn cure(part: Part) -> Option<&'static str> {
    match part {
        Part::Source => Some(
            "The source became slower for the same rows: look there for other load, autovacuum, \
             and partitions that no cache holds.",
        ),
        Part::Transform => Some(
            "Making values became slower for rows of the same size: look at what else takes the \
             stage's cores.",
        ),
        Part::Commit => Some(
            "Commits became slower: look at the WAL disk, synchronous replicas and checkpoints of \
             the stage.",
        ),
        Part::Lock => Some(
            "Find who locks the target while it is loaded: pg_locks, or log_lock_waits for next \
             time.",
        ),
        Part::Throttle => Some(
            "The throttle held it back more and more: see max_bytes_per_second and pause_while of \
             the pipeline.",
        ),
        Part::Insert | Part::Other => None,
    }
}

/// A length of time as `interval` reads it.
fn plain(n: i64, unit: &str) -> String {
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// The call of this run.
fn call(facts: &Facts) -> String {
    let run = &facts.run;
    let [from, to] = [run.from, run.to].map(|t| quote_literal(&sql_moment(t)));
    let pipeline = quote_literal(&run.pipeline);
    let mut sql =
        format!("select lrs_extract.pull({from}, {to}, {}, {}", run.batch_size, pipeline.trim());
    sql.push_str(&format!(", jobs => {}", run.jobs));
    if run.commit_mode != "batch" {
        sql.push_str(&format!(", commit => {}", quote_literal(&run.commit_mode).trim()));
    }
    sql + ");"
}

/// Period and pipeline, as the functions take them.
fn period(facts: &Facts) -> String {
    let run = &facts.run;
    let [from, to] = [run.from, run.to].map(|t| quote_literal(&sql_moment(t)));
    format!("{from}, {to}, {}", quote_literal(&run.pipeline).trim())
}

fn only(text: impl Into<String>) -> Step {
    Step { text: text.into(), sql: None }
}

fn with(text: impl Into<String>, sql: String) -> Step {
    Step { text: text.into(), sql: Some(sql) }
}
