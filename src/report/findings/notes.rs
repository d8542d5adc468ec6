//! What stands out in a run, each in a sentence.

use super::{Note, Tone, brief, lists, names};
use crate::report::parts::{Part, Parts};
use crate::report::quarters::{Drift, Quarters};
use crate::report::words::{self, count, counted, percent, span};
use crate::report::{Batch, Facts, RunState};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The notes, in the order of their weight.
pub fn notes(facts: &Facts, quarters: Option<&Quarters>) -> Vec<Note> {
    let found = [
        quiet(facts),
        quarters.and_then(drift),
        lock(facts),
        checkpoints(facts),
        slowest(facts),
        idle(facts),
        retries(facts),
        rejects(facts),
        triggers(facts),
        fallbacks(facts),
        warnings(facts),
    ];
    found.into_iter().flatten().collect()
}

fn note(tone: Tone, text: String) -> Option<Note> {
    Some(Note { tone, text })
}

/// A run that goes on, but from which nothing was heard for longer than it is used to.
pub fn quiet(facts: &Facts) -> Option<Note> {
    const PATIENCE_SECONDS: f64 = 60.0;
    if facts.run.state != RunState::Running {
        return None;
    }
    let last = facts.batches.iter().map(|b| b.finished_at).max().unwrap_or(facts.run.started_at);
    let silence = words::seconds_between(last, facts.as_of);
    let longest = facts.batches.iter().map(|b| Parts::from(b).total() / 1e3).fold(0.0, f64::max);
    if silence < PATIENCE_SECONDS.max(2.0 * longest) {
        return None;
    }
    note(Tone::Warning, format!("No batch was committed for {}.", span(silence)))
}

fn drift(quarters: &Quarters) -> Option<Note> {
    let tone = match quarters.drift {
        Drift::Unknown => return None,
        Drift::Steady | Drift::Faster => Tone::Good,
        Drift::Slower { larger_rows: true, .. } => Tone::Plain,
        Drift::Slower { .. } => Tone::Warning,
    };
    note(tone, quarters.sentence())
}

fn lock(facts: &Facts) -> Option<Note> {
    let share = Parts::from(&facts.shares).share(Part::Lock);
    let waited: f64 = facts.batches.iter().map(|b| Parts::from(b).get(Part::Lock)).sum();
    if share < 0.02 && waited < 10_000.0 {
        return None;
    }
    note(
        Tone::Warning,
        format!(
            "Inserts waited {} for locks on the target that others held ({} of the time).",
            words::millis(waited),
            percent(share)
        ),
    )
}

/// Whether WAL, and not time, drove the checkpoints.
pub fn checkpoints_forced(facts: &Facts) -> Option<(i64, i64)> {
    let requested = facts.stage.checkpoints_requested?;
    let timed = facts.stage.checkpoints_timed.unwrap_or(0);
    (requested >= 2 && requested > timed).then_some((requested, timed))
}

fn checkpoints(facts: &Facts) -> Option<Note> {
    let (requested, timed) = checkpoints_forced(facts)?;
    note(
        Tone::Warning,
        format!(
            "{} asked for while it ran, {} by time: WAL filled max_wal_size before \
             checkpoint_timeout was over.",
            were(requested, "checkpoint"),
            count(timed)
        ),
    )
}

fn slowest(facts: &Facts) -> Option<Note> {
    let mut by_time: Vec<(f64, &Batch)> =
        facts.batches.iter().map(|b| (Parts::from(b).total(), b)).collect();
    by_time.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = by_time.get(by_time.len() / 2)?.0;
    let (longest, batch) = *by_time.last()?;
    if longest < 1_000.0 || longest < 5.0 * median || by_time.len() < 5 {
        return None;
    }
    let part = Parts::from(batch).largest().unwrap_or(Part::Other);
    note(
        Tone::Warning,
        format!(
            "Batch {} took {}, where half of them took no more than {}; most of it {}.",
            batch.batch_no,
            words::millis(longest),
            words::millis(median),
            part.meaning(),
        ),
    )
}

/// Seconds for which not all workers had work: those before the end, or all where some never had.
pub fn idle_seconds(facts: &Facts) -> Option<f64> {
    const WORTH_A_WORD: (f64, f64) = (10.0, 0.1);
    let run = &facts.run;
    if run.state != RunState::Done || run.jobs < 2 || run.commit_mode == "caller" {
        return None;
    }
    let mut ends: BTreeMap<i32, DateTime<Utc>> = BTreeMap::new();
    for batch in &facts.batches {
        let end = ends.entry(batch.worker).or_insert(batch.finished_at);
        *end = batch.finished_at.max(*end);
    }
    let first_idle = match ends.values().min()? {
        _ if ends.len() < usize::try_from(run.jobs).unwrap_or(0) => run.started_at,
        first => *first,
    };
    let idle = words::seconds_between(first_idle, facts.end());
    (idle >= WORTH_A_WORD.0 && idle >= WORTH_A_WORD.1 * facts.seconds()).then_some(idle)
}

fn idle(facts: &Facts) -> Option<Note> {
    let idle = idle_seconds(facts)?;
    let share = percent(idle / facts.seconds());
    let text = format!(
        "For {} ({share} of the run) not all {} workers had a slice to pull.",
        span(idle),
        facts.run.jobs
    );
    note(Tone::Plain, text)
}

fn retries(facts: &Facts) -> Option<Note> {
    let retries = facts.stage.retries;
    if retries <= 0 {
        return None;
    }
    let troubled: Vec<_> = facts.slices.iter().filter(|s| s.retries > 0).collect();
    let last = troubled.iter().rev().find_map(|s| s.last_error.as_deref());
    let last = last.map_or(String::new(), |error| format!(" Last error: {}", brief(error)));
    let inside = counted(troubled.len() as i64, "slice");
    note(
        if retries >= 10 { Tone::Warning } else { Tone::Plain },
        format!("{} tried again, in {inside}; nothing was lost.{last}", were(retries, "page")),
    )
}

fn rejects(facts: &Facts) -> Option<Note> {
    let run = &facts.run;
    if run.rejected <= 0 {
        return None;
    }
    let share = run.rejected as f64 / (run.rejected as f64 + run.rows.max(0) as f64);
    let most = facts.rejects.first().map_or(String::new(), |group| {
        let column = group.column.as_deref().unwrap_or("the row as a whole");
        let (column, sqlstate) = (brief(column), brief(&group.sqlstate));
        format!(", most for {column} (SQLSTATE {sqlstate})")
    });
    note(
        Tone::Warning,
        format!("{} rejected, {} of all{most}.", were(run.rejected, "row"), percent(share)),
    )
}

fn triggers(facts: &Facts) -> Option<Note> {
    let triggers = &facts.stage.triggers;
    if triggers.is_empty() {
        return None;
    }
    let fires = format!("Each row fires {}", counted(triggers.len() as i64, "row trigger"));
    note(Tone::Plain, format!("{fires} of the target: {}.", names(triggers)))
}

/// The share of statements that the server converts at which it is worth a word.
pub const MANY_FALLBACKS: f64 = 0.02;

fn fallbacks(facts: &Facts) -> Option<Note> {
    let all = facts.run.rows.max(0) as f64 + facts.run.rejected.max(0) as f64;
    let share = facts.run.fallbacks.max(0) as f64 / all.max(1.0);
    if share < MANY_FALLBACKS {
        return None;
    }
    note(
        Tone::Warning,
        format!(
            "{} left to the server's own jsonb input, {} of all: that is the slow way, in the \
             worker's main thread.",
            were(facts.run.fallbacks, "statement"),
            percent(share)
        ),
    )
}

fn warnings(facts: &Facts) -> Option<Note> {
    let warnings = lists::plan_warnings(facts);
    let first = warnings.first()?;
    let more = match warnings.len() - 1 {
        0 => String::new(),
        1 => " There is 1 other.".to_owned(),
        n => format!(" There are {n} others."),
    };
    let text = format!("The plan warned of {}: {}.{more}", first.slices(), brief(first.text));
    note(Tone::Warning, text)
}

/// `1 page was`, `3 pages were`.
fn were(n: i64, noun: &str) -> String {
    format!("{} {}", counted(n, noun), if n == 1 { "was" } else { "were" })
}
