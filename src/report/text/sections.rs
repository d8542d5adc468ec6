//! The sections of the text, in the order in which an operator asks.

use super::bar::{bar, heights};
use super::lines::Lines;
use super::table::Align::{Left, Right};
use super::table::Table;
use crate::report::course::Course;
use crate::report::findings::{Findings, Tone, plan_warnings, slices_to_look_at, slowest_batches};
use crate::report::legible::{cut, width};
use crate::report::parts::{Part, Parts};
use crate::report::quarters::{Drift, Quarters};
use crate::report::words::{self, NOTHING, count, counted, percent, span};
use crate::report::{Facts, RunState, Shares, partitions as by_partition, summary};

/// The headline, an error, and what stands out.
pub fn head(facts: &Facts, findings: &Findings, lines: &mut Lines) {
    let run = &facts.run;
    let title = format!("lrs_extract: run {} of pipeline {}", run.run_id, cut(&run.pipeline, 50));
    let state = run.state.as_str().to_uppercase();
    let gap = super::COLUMNS.saturating_sub(width(&title) + width(&state)).max(2);
    lines.line(&format!("{title}{}{state}", " ".repeat(gap)));
    lines.line(&"═".repeat(super::COLUMNS));
    lines.say("", &findings.headline);
    if let Some(error) = &run.error {
        let sqlstate = run.sqlstate.as_deref().map_or(String::new(), |s| format!(" ({s})"));
        lines.blank();
        lines.say_briefly("ERROR   ", &format!("{error}{sqlstate}"));
        for (lead, text) in [("DETAIL  ", &run.detail), ("HINT    ", &run.hint)] {
            text.iter().for_each(|text| lines.say_briefly(lead, text));
        }
    }
    if !findings.notes.is_empty() {
        lines.blank();
    }
    for note in &findings.notes {
        let mark = match note.tone {
            Tone::Good => "✓ ",
            Tone::Plain => "· ",
            Tone::Warning | Tone::Bad => "! ",
        };
        lines.say(mark, &note.text);
    }
}

/// What was called, and what came of it.
pub fn call(facts: &Facts, lines: &mut Lines) {
    let run = &facts.run;
    lines.heading("The run (times are UTC)");
    let short = |text: &Option<String>| text.as_deref().unwrap_or(NOTHING).to_owned();
    let finished = match run.finished_at {
        Some(finished) => words::clock(finished),
        None if run.state == RunState::Running => {
            format!("running at {}", words::clock(facts.as_of))
        }
        None => NOTHING.to_owned(),
    };
    let slices = facts.slices.len();
    let pairs = [
        ("period", format!("{} to {}", words::bound(run.from), words::bound(run.to))),
        ("rows", format!("{}, {} rejected", count(run.rows), count(run.rejected))),
        ("source", short(&run.source_version)),
        ("read", words::size(run.bytes as f64)),
        ("target", short(&run.target)),
        ("speed", words::rows_rate(run.rows_per_second)),
        ("started", words::clock(run.started_at)),
        ("", words::bytes_rate(run.bytes_per_second)),
        ("finished", finished),
        ("took", span(facts.seconds())),
        ("called by", run.caller.clone()),
        ("slices", format!("{} of {} done", facts.slices_done(), slices)),
        ("arguments", summary::arguments(run)),
        ("batches", count(facts.batches.len() as i64)),
    ];
    for pair in pairs.chunks_exact(2) {
        let [(name, value), (second, other)] = [&pair[0], &pair[1]];
        let left = cut(value, 50);
        let padding = " ".repeat(52usize.saturating_sub(width(&left)));
        lines.line(&format!("  {name:<11}{left}{padding}{second:<9}{}", cut(other, 26)));
    }
    let progress = format!("{} {}", bar(run.share_done, 40), percent(run.share_done));
    lines.line(&format!("  {:<11}{progress}", "done"));
    if let Some(watermark) = run.watermark {
        let text = format!("complete up to {}", words::bound(watermark));
        lines.line(&format!("  {:<11}{text}", "watermark"));
    }
}

/// Where the time went, with the verdict.
pub fn time(facts: &Facts, lines: &mut Lines) {
    lines.heading("Where the time went");
    let parts = Parts::from(&facts.shares);
    if parts.total() <= 0.0 {
        lines.say("", "Nothing was measured.");
        return;
    }
    for part in Part::ALL {
        let share = parts.share(part);
        if share > 0.0 || part != Part::Other {
            lines.line(&format!(
                "  {:<10}{} {:>7}  {}",
                part.name(),
                bar(share, 32),
                percent(share),
                part.meaning()
            ));
        }
    }
    lines.blank();
    let Shares { verdict, advice, .. } = &facts.shares;
    lines.say_briefly("", &format!("Verdict: {}. {advice}", cut(verdict, 20)));
}

/// The rate over time, and the quarters.
pub fn course(facts: &Facts, findings: &Findings, lines: &mut Lines) {
    const STEPS: usize = 84;
    lines.heading("Over time");
    let Some(course) = Course::new(facts, STEPS) else {
        lines.say("", "No batch was committed.");
        return;
    };
    if course.bins.len() >= 16 {
        let per_second: Vec<f64> =
            course.bins.iter().map(|bin| bin.rows / course.bin_seconds()).collect();
        let of_a_batch: Vec<f64> = (course.bins.iter())
            .map(|bin| bin.parts_of_a_batch().map_or(0.0, |parts| parts.total()))
            .collect();
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        lines.line(&format!("  rows/s       {}", heights(&per_second)));
        lines.line(&format!("  time/batch   {}", heights(&of_a_batch)));
        lines.line(&format!(
            "               each column {}, from {}; full height {} rows/s, {} a batch",
            span(course.bin_seconds()),
            words::clock(course.from),
            words::number(most(&per_second)),
            words::millis(most(&of_a_batch)),
        ));
        lines.blank();
    }
    match &findings.quarters {
        Some(quarters) => quarters_table(quarters, lines),
        None => lines.say("", "Too few batches to compare the beginning with the end."),
    }
}

fn quarters_table(quarters: &Quarters, lines: &mut Lines) {
    let mut table = Table::new(&[
        ("µs a row", Left),
        ("rows", Right),
        ("bytes/row", Right),
        ("source", Right),
        ("transform", Right),
        ("insert", Right),
        ("lock", Right),
        ("commit", Right),
        ("throttle", Right),
        ("all", Right),
    ]);
    for (name, quarter) in ["1st quarter", "2nd", "3rd", "4th"].iter().zip(&quarters.quarters) {
        let micros = quarter.micros_a_row();
        let of = |part| words::number(micros.get(part));
        table.row([
            (*name).to_owned(),
            count(quarter.rows as i64),
            words::number(quarter.bytes_a_row()),
            of(Part::Source),
            of(Part::Transform),
            of(Part::Insert),
            of(Part::Lock),
            of(Part::Commit),
            of(Part::Throttle),
            words::number(micros.total()),
        ]);
    }
    lines.table(&table);
    if quarters.drift == Drift::Unknown {
        lines.say("", &quarters.sentence());
    }
}

/// Sums by partition.
pub fn partitions(facts: &Facts, lines: &mut Lines) {
    const MOST: usize = 16;
    let sums = by_partition::partitions(facts, MOST);
    if sums.is_empty() {
        return;
    }
    lines.heading("By partition");
    let mut table = Table::new(&[
        ("partition", Left),
        ("slices", Right),
        ("rows", Right),
        ("rejected", Right),
        ("read", Right),
        ("µs a row", Right),
        ("most of it", Left),
    ]);
    for sum in sums {
        let most = sum.parts.largest();
        table.row([
            sum.partition.clone(),
            format!("{}/{}", sum.slices_done, sum.slices),
            count(sum.rows),
            count(sum.rejected),
            words::size(sum.bytes as f64),
            sum.micros_a_row().map_or(NOTHING.into(), words::number),
            most.map_or(NOTHING.into(), |part| {
                format!("{} {}", part.name(), percent(sum.parts.share(part)))
            }),
        ]);
    }
    lines.table(&table);
}

/// The batches that took longest.
pub fn slowest(facts: &Facts, lines: &mut Lines) {
    const MOST: usize = 5;
    if facts.batches.len() < 2 {
        return;
    }
    lines.heading("Slowest batches");
    let mut table = Table::new(&[
        ("batch", Right),
        ("slice", Right),
        ("worker", Right),
        ("finished", Left),
        ("rows", Right),
        ("took", Right),
        ("of which", Left),
    ]);
    for (batch, parts) in slowest_batches(facts, MOST) {
        table.row([
            batch.batch_no.to_string(),
            batch.slice_no.to_string(),
            batch.worker.to_string(),
            words::clock(batch.finished_at),
            count(batch.rows),
            words::millis(parts.total()),
            parts.in_words(),
        ]);
    }
    lines.table(&table);
}

/// Slices that are unfinished or were tried again, and what the plan warned of.
pub fn slices(facts: &Facts, lines: &mut Lines) {
    const MOST: usize = 8;
    let (slices, warnings) = (slices_to_look_at(facts), plan_warnings(facts));
    if slices.is_empty() && warnings.is_empty() {
        return;
    }
    lines.heading("Slices to look at");
    let ended = facts.run.state != RunState::Running;
    for slice in slices.iter().take(MOST) {
        let state = summary::slice_state(slice, ended);
        let retries = match slice.retries {
            0 => String::new(),
            n => format!(", {} tried again", counted(n, "page")),
        };
        lines.say(
            &format!("{:<4} ", slice.slice_no),
            &format!(
                "{} from {} to {}: {state}, {} of about {}{retries}",
                cut(&slice.partition, 60),
                words::bound(slice.from),
                words::bound(slice.to),
                count(slice.rows),
                counted(slice.estimated_rows, "row"),
            ),
        );
        let error = slice.last_error.iter();
        error.for_each(|error| lines.say("     last error: ", &cut(error, 240)));
    }
    if slices.len() > MOST {
        lines.say("", &format!("… and {} others.", slices.len() - MOST));
    }
    for warning in warnings.iter().take(MOST) {
        lines.say(
            "",
            &format!("The plan warned of {}: {}", warning.slices(), cut(warning.text, 240)),
        );
    }
}

/// What the target could not take.
pub fn rejects(facts: &Facts, lines: &mut Lines) {
    const MOST: usize = 8;
    if facts.rejects.is_empty() {
        return;
    }
    lines.heading("Rejected rows");
    let mut table =
        Table::new(&[("rows", Right), ("column", Left), ("SQLSTATE", Left), ("for example", Left)]);
    for group in facts.rejects.iter().take(MOST) {
        table.row([
            count(group.count),
            group.column.clone().unwrap_or_else(|| "(whole row)".into()),
            group.sqlstate.clone(),
            group.example.clone(),
        ]);
    }
    lines.table(&table);
    if facts.rejects.len() > MOST {
        lines.say("", &format!("… and {} other kinds.", facts.rejects.len() - MOST));
    }
}

/// What the stage did meanwhile.
pub fn stage(facts: &Facts, lines: &mut Lines) {
    lines.heading("The stage meanwhile");
    for (name, value) in summary::stage_facts(facts) {
        lines.say(&format!("{name:<14}"), &value);
    }
}

/// What to do next.
pub fn next(findings: &Findings, lines: &mut Lines) {
    if findings.next.is_empty() {
        return;
    }
    lines.heading("What to do next");
    for (n, step) in findings.next.iter().enumerate() {
        lines.say(&format!("{}. ", n + 1), &step.text);
        step.sql.iter().flat_map(|sql| sql.lines()).for_each(|line| lines.say("     ", line));
    }
}
