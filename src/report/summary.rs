//! What is known beside the measurements, in words; the same in the text and on the page.

use super::words::{self, count, counted};
use super::{Facts, Run, Slice, SliceState};

/// What `pull` was called with, beside the period.
pub fn arguments(run: &Run) -> String {
    let again = if run.again { ", again" } else { "" };
    format!(
        "batch {}, jobs {}, commit each {}{again}",
        count(run.batch_size),
        run.jobs,
        match run.commit_mode.as_str() {
            "caller" => "transaction of the caller",
            other => other,
        }
    )
}

/// Where a slice stands; what its worker left behind when the run `ended` is unfinished.
pub fn slice_state(slice: &Slice, ended: bool) -> &'static str {
    match slice.state {
        SliceState::Todo => "not begun",
        SliceState::Running if ended => "unfinished",
        SliceState::Running => "running",
        SliceState::Done => "done",
    }
}

/// What the stage did during the run, and what hangs on the target: names and values.
pub fn stage_facts(facts: &Facts) -> Vec<(&'static str, String)> {
    let stage = &facts.stage;
    let known = |n: Option<i64>| n.map_or("not known".to_owned(), count);
    let rows = facts.run.rows.max(1) as f64;
    let wal = stage.wal_bytes.map_or("not known".to_owned(), |bytes| {
        let bytes = bytes as f64;
        format!("{}, {} a row", words::size(bytes), words::size(bytes / rows))
    });
    let checkpoints = format!(
        "{} by time, {} asked for (above all by WAL that reached max_wal_size)",
        known(stage.checkpoints_timed),
        known(stage.checkpoints_requested)
    );
    let times =
        |n: Option<i64>, noun| n.map_or_else(|| format!("{noun}s not known"), |n| counted(n, noun));
    let [vacuums, analyzes] =
        [times(stage.autovacuums, "vacuum"), times(stage.autoanalyzes, "analyze")];
    let indexes = stage
        .indexes
        .iter()
        .map(|index| format!("{} ({})", index.name, words::size(index.bytes as f64)));
    vec![
        ("WAL written", wal),
        ("checkpoints", checkpoints),
        ("autovacuum", format!("{vacuums}, {analyzes} of the target")),
        ("indexes", list(indexes)),
        ("row triggers", list(stage.triggers.iter().cloned())),
        ("retries", counted(stage.retries, "page")),
        (
            "fallbacks",
            format!(
                "{} to the server's own jsonb input",
                counted(facts.run.fallbacks, "statement")
            ),
        ),
    ]
}

fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 12;
    let more = names.len().saturating_sub(MOST);
    let mut names: Vec<String> =
        names.take(MOST).map(|name| super::legible::cut(&name, 90)).collect();
    match (names.is_empty(), more) {
        (true, _) => return "none".to_owned(),
        (false, 0) => {}
        _ => names.push(format!("and {more} more")),
    }
    names.join(", ")
}
