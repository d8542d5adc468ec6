//! Sentences, lists and tables of a report: the same in the text and on the page.

use super::course::Course;
use super::facts::{Facts, Kind, RunState, Slice, SliceState};
use super::legible::cut;
use super::parts::Part;
use super::words::{self, NOTHING, count, counted, number, percent, span};
use std::collections::BTreeMap;

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

use Align::{Left, Right};

/// Cells under heads; one cell for each head.
pub struct Table {
    pub heads: Vec<(&'static str, Align)>,
    pub rows: Vec<Vec<String>>,
    /// A remark on the table as a whole.
    pub remark: Option<String>,
}

/// How it stands, in a sentence.
pub fn headline(facts: &Facts) -> String {
    let run = &facts.run;
    let took = span(facts.seconds());
    let rows = counted(run.rows, "row");
    let speed = format!(
        "{}, {}",
        words::rows_rate(run.rows_per_second),
        words::bytes_rate(run.bytes_per_second)
    );
    let rejected = match run.rejected {
        0 => "none rejected".to_owned(),
        n => format!("{} rejected", count(n)),
    };
    let rejected = match run.skipped {
        0 => rejected,
        n => format!("{rejected}, {} skipped", count(n)),
    };
    let done = percent(run.share_done);
    match run.state {
        RunState::Done if run.kind == Kind::Repair && facts.differences.ranges == 0 => {
            format!("Done in {took}: source and stage do not differ.")
        }
        RunState::Done if run.kind == Kind::Repair => {
            format!("Done: {} in {took}; {rejected}.", differences(facts))
        }
        RunState::Done if run.rows_read == 0 && run.rows == 0 && run.rejected == 0 => {
            format!("Done in {took}: the source had no rows in this period.")
        }
        RunState::Done => format!("Done: {rows} in {took}, {speed}; {rejected}."),
        RunState::Running => {
            let left =
                run.seconds_left.map_or(String::new(), |s| format!(", about {} left", span(s)));
            format!("{done} done after {took}{left}: {rows}, {speed}; {rejected}.")
        }
        RunState::Failed => format!("Failed after {took}, {done} done: {rows}, {rejected}."),
        RunState::Cancelled => format!("Cancelled after {took}, {done} done: {rows}, {rejected}."),
        RunState::Interrupted => format!(
            "Interrupted: its processes are gone. Last sign of life after {took}, {done} done: \
             {rows}, {rejected}."
        ),
    }
}

/// The state as a word.
pub fn state(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
        RunState::Interrupted => "interrupted",
    }
}

/// What was called, and what came of it: names and values.
pub fn run(facts: &Facts) -> Vec<(&'static str, String)> {
    let run = &facts.run;
    let commit = match run.commit_mode.as_str() {
        "caller" => "in the caller's transaction".to_owned(),
        each => format!("each {each}"),
    };
    let again = if run.again { ", again" } else { "" };
    let finished = match run.finished_at {
        Some(finished) => words::clock(finished),
        None if run.state == RunState::Running => "not yet".to_owned(),
        None => NOTHING.to_owned(),
    };
    let done = format!(
        "{} of {}, in {}",
        count(facts.slices_done() as i64),
        counted(facts.slices.len() as i64, "slice"),
        match facts.batches.len() {
            1 => "1 batch".to_owned(),
            n => format!("{} batches", count(n as i64)),
        }
    );
    let mut entries = vec![
        ("period", format!("{} to {}", words::bound(run.from), words::bound(run.to))),
        ("complete up to", words::bound(run.watermark.unwrap_or(run.to))),
        ("done", done),
        ("walk", walk(facts)),
        ("read", format!("{} from the source", words::size(run.bytes as f64))),
        ("target", run.target.clone().unwrap_or_else(|| NOTHING.to_owned())),
        ("arguments", format!("batch {}, jobs {}{again}", count(run.batch_size), run.jobs)),
        ("commit", commit),
        ("called by", run.caller.clone()),
        ("started", words::clock(run.started_at)),
        ("finished", finished),
    ];
    if facts.differences.ranges > 0 {
        entries.insert(3, ("repaired", differences(facts)));
    }
    entries
}

/// Where source and stage differed, and what was done about it.
fn differences(facts: &Facts) -> String {
    let all = &facts.differences;
    let changed = match all.changed {
        0 => String::new(),
        n => format!(" ({} changed)", count(n)),
    };
    format!(
        "{} differed, {} missing and {} surplus{changed}, {} pulled, {} deleted",
        counted(all.ranges, "range"),
        count(all.missing),
        count(all.surplus),
        count(all.pulled),
        count(all.deleted)
    )
}

/// Which way the partitions were walked, the first of each way for all.
fn walk(facts: &Facts) -> String {
    let mut walks: BTreeMap<&str, &str> = BTreeMap::new();
    for slice in &facts.slices {
        walks.insert(&slice.partition, slice.walk.as_deref().unwrap_or("by key"));
    }
    let mut ways: BTreeMap<&str, (i64, &str)> = BTreeMap::new();
    for walk in walks.values() {
        let way = walk.split(':').next().unwrap_or_default();
        ways.entry(way).or_insert((0, walk)).0 += 1;
    }
    let said = ways.into_values().map(|(partitions, first)| match partitions {
        1 => first.to_owned(),
        n => format!("{first} ({})", counted(n, "partition")),
    });
    let said = said.collect::<Vec<_>>().join("; ");
    if said.is_empty() { NOTHING.to_owned() } else { said }
}

/// What the stage did during the run: names and values.
pub fn stage(facts: &Facts) -> Vec<(&'static str, String)> {
    let stage = &facts.stage;
    let known = |n: Option<i64>, what: String| n.map_or("not known".to_owned(), |_| what);
    let wal = stage.wal_bytes as f64;
    let a_row = wal / facts.run.rows.saturating_add(facts.run.rejected).max(1) as f64;
    let timed = stage.during(|c| c.checkpoints_timed);
    let requested = stage.during(|c| c.checkpoints_requested);
    let vacuums = stage.during(|c| c.autovacuums);
    let analyzes = stage.during(|c| c.autoanalyzes);
    let now = match stage.end.map_or(0, |c| c.vacuums_running) {
        0 => "",
        _ if facts.run.state == RunState::Running => "; a vacuum is running now",
        _ => "; a vacuum was still running at the end",
    };
    let counted = |n: Option<i64>, noun| counted(n.unwrap_or(0), noun);
    vec![
        ("WAL written", format!("{}, {} a row", words::size(wal), words::size(a_row))),
        (
            "checkpoints",
            known(
                timed.and(requested),
                format!(
                    "{} by time, {} requested (by WAL reaching max_wal_size, or by hand)",
                    count(timed.unwrap_or(0)),
                    count(requested.unwrap_or(0))
                ),
            ),
        ),
        (
            "autovacuum",
            known(
                vacuums.and(analyzes),
                format!(
                    "{}, {} of the target{now}",
                    counted(vacuums, "vacuum"),
                    match analyzes {
                        Some(1) => "1 analyze".to_owned(),
                        n => format!("{} analyzes", count(n.unwrap_or(0))),
                    }
                ),
            ),
        ),
        (
            "fallbacks",
            format!(
                "{} whose jsonb the server made",
                counted(Some(facts.run.fallbacks), "statement")
            ),
        ),
    ]
}

/// The run in four stretches of time: whether a row cost more at the end than at the beginning.
pub fn quarters(facts: &Facts) -> Option<Table> {
    // Part of a batch says nothing.
    let course = Course::new(facts, 4).filter(|_| facts.batches.len() >= 4)?;
    let mut heads = vec![("from", Left), ("rows", Right), ("rows/s", Right)];
    heads.extend(Part::ALL.map(|part| (part.name(), Right)));
    heads.push(("µs a row", Right));
    let rows = course.bins.iter().enumerate().map(|(n, bin)| {
        let micros = bin.parts.scaled(if bin.rows > 0.0 { 1e3 / bin.rows } else { 0.0 });
        let mut row = vec![
            words::clock(course.begin_of(n)),
            count(bin.rows.round() as i64),
            number(bin.rows / course.bin_seconds()),
        ];
        row.extend(Part::ALL.map(|part| number(micros.get(part))));
        row.push(number(micros.total()));
        row
    });
    let remark = "Each quarter of the run's time: what a row took, in µs of a worker, by part.";
    Some(Table { heads, rows: rows.collect(), remark: Some(remark.to_owned()) })
}

/// The slices, at most so many: the unfinished ones first.
pub fn slices(facts: &Facts, most: usize) -> Table {
    let mut slices: Vec<&Slice> = facts.slices.iter().collect();
    if slices.len() > most {
        slices.sort_by_key(|s| (s.state == SliceState::Done, s.slice_no));
    }
    let rows = slices.iter().take(most).map(|slice| {
        let took = slice.started_at.map(|started| {
            words::seconds_between(started, slice.finished_at.unwrap_or_else(|| facts.end()))
        });
        vec![
            count(i64::from(slice.slice_no)),
            slice.partition.clone(),
            words::bound(slice.from),
            words::bound(slice.to),
            slice_state(slice, facts.run.state).to_owned(),
            count(slice.rows),
            count(slice.estimated_rows),
            count(slice.rejected),
            took.map_or(NOTHING.to_owned(), span),
        ]
    });
    let left_out = slices.len().saturating_sub(most) as i64;
    Table {
        heads: vec![
            ("#", Right),
            ("partition", Left),
            ("from", Left),
            ("to", Left),
            ("state", Left),
            ("rows", Right),
            ("expected", Right),
            ("reject", Right),
            ("took", Right),
        ],
        rows: rows.collect(),
        remark: (left_out > 0).then(|| format!("{} more are left out.", count(left_out))),
    }
}

/// Where a slice stands; what its worker left behind when the run ended is unfinished.
pub fn slice_state(slice: &Slice, run: RunState) -> &'static str {
    match (slice.state, run) {
        (SliceState::Todo, _) => "todo",
        (SliceState::Running, RunState::Running) => "running",
        (SliceState::Running, _) => "unfinished",
        (SliceState::Done, _) => "done",
    }
}

/// Rows that the target took away, and what the plan warned of, each with the number of its slices.
pub fn warnings(facts: &Facts) -> Vec<String> {
    const MOST: usize = 8;
    let run = &facts.run;
    let accounted = [run.rows, run.rejected, run.skipped];
    let taken_away = accounted.into_iter().fold(run.rows_read, i64::saturating_sub);
    let taken_away = (taken_away > 0).then(|| {
        format!(
            "A trigger or a rule of {} took {} of {} rows away, or put them elsewhere: lrs_extract.verify tells which.",
            run.target.as_deref().unwrap_or("the target"),
            count(taken_away),
            count(run.rows_read)
        )
    });
    let mut warnings: BTreeMap<&str, i64> = BTreeMap::new();
    for warning in facts.slices.iter().filter_map(|s| s.warning.as_deref()) {
        *warnings.entry(warning).or_default() += 1;
    }
    let said = warnings.into_iter().take(MOST).map(|(text, slices)| {
        format!("The plan warned of {}: {}", counted(slices, "slice"), cut(text, 240))
    });
    taken_away.into_iter().chain(said).collect()
}

/// What the target could not take; none where it took all.
pub fn rejects(facts: &Facts) -> Option<Table> {
    if facts.rejects.is_empty() {
        return None;
    }
    let rows = facts.rejects.iter().map(|group| {
        vec![
            count(group.count),
            group.column.clone().unwrap_or_else(|| "(whole row)".into()),
            group.sqlstate.clone(),
            group.example.clone(),
        ]
    });
    Some(Table {
        heads: vec![("rows", Right), ("column", Left), ("SQLSTATE", Left), ("for example", Left)],
        rows: rows.collect(),
        remark: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_slower_end_shows_in_the_quarters() {
        let table = quarters(&sample::slowing(200)).unwrap();
        let micros = |row: usize| table.rows[row].last().unwrap().parse::<f64>().unwrap();
        assert!(micros(3) > 1.5 * micros(0), "{:?}", table.rows);
        assert!(quarters(&sample::slowing(3)).is_none());
    }

    #[test]
    fn what_a_failed_run_left_comes_first_where_not_all_slices_are_shown() {
        let facts = sample::failed(200);
        let all = slices(&facts, 100);
        assert!(all.rows.len() == 15 && all.rows[0][4] == "done" && all.remark.is_none());
        let few = slices(&facts, 5);
        assert!(few.rows.iter().all(|row| row[4] == "unfinished" || row[4] == "todo"));
        assert_eq!(few.remark.as_deref(), Some("10 more are left out."));
    }

    #[test]
    fn warnings_are_said_once() {
        let said = warnings(&sample::slowing(200));
        assert!(
            said.len() == 1 && said[0].starts_with("The plan warned of 3 slices: "),
            "{said:?}"
        );
    }

    #[test]
    fn what_was_not_counted_is_not_called_nothing() {
        let mut facts = sample::slowing(20);
        let said = |facts: &Facts| stage(facts)[1].1.clone();
        assert!(said(&facts).starts_with("2 by time, 14 requested"), "{}", said(&facts));
        facts.stage.end = None;
        assert_eq!(said(&facts), "not known");
    }
}
