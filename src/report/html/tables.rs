//! The tables of the page: every number that a drawing shows, and those that none does.

use crate::report::course::Course;
use crate::report::findings::{plan_warnings, slices_to_look_at, slowest_batches};
use crate::report::legible::shorten;
use crate::report::partitions;
use crate::report::parts::{Part, Parts};
use crate::report::plot;
use crate::report::quarters::{Drift, Quarters};
use crate::report::words::{self, NOTHING, count, millis, number, percent};
use crate::report::{Facts, RunState, summary};
use maud::{Markup, html};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Broken into lines where they are long.
    Words,
    /// A few words, or a time: on one line.
    Word,
    Number,
}

use Kind::{Number, Word, Words};

/// No cell shows more characters.
const MOST_CHARACTERS: usize = 300;

/// A table with a caption; the first cell of a row is its head.
fn table(caption: &str, heads: &[(&str, Kind)], rows: &[Vec<String>]) -> Markup {
    let class = |n: usize| match heads.get(n).map(|head| head.1) {
        Some(Number) => Some("number"),
        Some(Word) => Some("word"),
        _ => None,
    };
    html! {
        div class="scroll" {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for (n, (head, _)) in heads.iter().enumerate() {
                            th scope="col" class=[class(n)] { (head) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (n, cell) in row.iter().enumerate() {
                                @let cell = shorten(cell, MOST_CHARACTERS);
                                @if n == 0 {
                                    th scope="row" class=[class(n)] { (cell) }
                                } @else {
                                    td class=[class(n)] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The shares, with what each part is.
pub fn shares(parts: &Parts) -> Markup {
    let shown = |part: &Part| *part != Part::Other || parts.get(*part) > 0.0;
    html! {
        table class="shares" {
            caption { "Shares of the time" }
            thead {
                tr {
                    th scope="col" { "part" }
                    th scope="col" class="number" { "share" }
                    th scope="col" { "what it is" }
                }
            }
            tbody {
                @for part in Part::ALL.into_iter().filter(shown) {
                    tr {
                        th scope="row" {
                            i class={ "swatch " (plot::class_of(part)) } {} (part.name())
                        }
                        td class="number" { (percent(parts.share(part))) }
                        td { (part.meaning()) }
                    }
                }
            }
        }
    }
}

const PART_HEADS: [(&str, Kind); 6] = [
    ("source", Number),
    ("transform", Number),
    ("insert", Number),
    ("lock", Number),
    ("commit", Number),
    ("throttle", Number),
];

/// The parts in the order of [`PART_HEADS`].
fn part_cells(parts: &Parts, word: impl Fn(f64) -> String) -> impl Iterator<Item = String> {
    let shown = Part::ALL.into_iter().filter(|part| *part != Part::Other);
    shown.map(move |part| word(parts.get(part))).collect::<Vec<_>>().into_iter()
}

/// The four quarters of the run.
pub fn quarters(quarters: &Quarters) -> Markup {
    let mut heads = vec![("quarter", Word), ("rows", Number), ("bytes a row", Number)];
    heads.extend(PART_HEADS);
    heads.push(("µs a row", Number));
    let names = ["first", "second", "third", "last"];
    let rows: Vec<Vec<String>> = names
        .into_iter()
        .zip(&quarters.quarters)
        .map(|(name, quarter)| {
            let micros = quarter.micros_a_row();
            let mut row =
                vec![name.to_owned(), count(quarter.rows as i64), number(quarter.bytes_a_row())];
            row.extend(part_cells(&micros, number));
            row.push(number(micros.total()));
            row
        })
        .collect();
    let caption = match quarters.drift {
        Drift::Unknown => quarters.sentence(),
        _ => "What a row took in each quarter of the run, µs by part".to_owned(),
    };
    table(&caption, &heads, &rows)
}

/// The course of the run in steps that a person can read.
pub fn course(facts: &Facts) -> Markup {
    const STEPS: usize = 20;
    // No more steps than batches: part of a batch says nothing.
    let Some(course) = Course::new(facts, STEPS.min(facts.batches.len())) else {
        return html! {};
    };
    let mut heads = vec![
        ("from", Word),
        ("rows", Number),
        ("rows/s", Number),
        ("read/s", Number),
        ("a batch", Number),
    ];
    heads.extend(PART_HEADS);
    let seconds = course.bin_seconds();
    let rows: Vec<Vec<String>> = (course.bins.iter().enumerate())
        .map(|(n, bin)| {
            let of_a_batch = bin.parts_of_a_batch().unwrap_or_default();
            let mut row = vec![
                words::clock(course.begin_of(n)),
                count(bin.rows.round() as i64),
                number(bin.rows / seconds),
                words::size(bin.bytes / seconds),
                millis(of_a_batch.total()),
            ];
            row.extend(part_cells(&of_a_batch, millis));
            row
        })
        .collect();
    let caption = format!("The run in steps of {}, and what a batch took", words::span(seconds));
    table(&caption, &heads, &rows)
}

/// The batches that took longest.
pub fn slowest(facts: &Facts) -> Markup {
    const MOST: usize = 10;
    if facts.batches.len() < 2 {
        return html! {};
    }
    let mut heads = vec![
        ("batch", Number),
        ("slice", Number),
        ("worker", Number),
        ("finished", Word),
        ("rows", Number),
        ("took", Number),
    ];
    heads.extend(PART_HEADS);
    let rows: Vec<Vec<String>> = slowest_batches(facts, MOST)
        .into_iter()
        .map(|(batch, parts)| {
            let mut row = vec![
                batch.batch_no.to_string(),
                batch.slice_no.to_string(),
                batch.worker.to_string(),
                words::clock(batch.finished_at),
                count(batch.rows),
                millis(parts.total()),
            ];
            row.extend(part_cells(&parts, millis));
            row
        })
        .collect();
    table("Slowest batches", &heads, &rows)
}

/// Sums by partition.
pub fn partitions(facts: &Facts) -> Markup {
    const MOST: usize = 60;
    let heads = [
        ("partition", Words),
        ("slices done", Number),
        ("rows", Number),
        ("rejected", Number),
        ("read", Number),
        ("retries", Number),
        ("µs a row", Number),
        ("most of it", Word),
    ];
    let rows: Vec<Vec<String>> = partitions::partitions(facts, MOST)
        .into_iter()
        .map(|sum| {
            let micros = sum.micros_a_row().map_or(NOTHING.into(), number);
            let most = sum.parts.largest().map_or(NOTHING.into(), |part| {
                format!("{} {}", part.name(), percent(sum.parts.share(part)))
            });
            vec![
                sum.partition,
                format!("{} of {}", sum.slices_done, sum.slices),
                count(sum.rows),
                count(sum.rejected),
                words::size(sum.bytes as f64),
                count(sum.retries),
                micros,
                most,
            ]
        })
        .collect();
    if rows.is_empty() {
        html! {}
    } else {
        table("By partition", &heads, &rows)
    }
}

/// Slices that are unfinished or were tried again.
pub fn slices(facts: &Facts) -> Markup {
    const MOST: usize = 50;
    let heads = [
        ("slice", Number),
        ("partition", Words),
        ("from", Word),
        ("to", Word),
        ("state", Word),
        ("rows", Number),
        ("estimated", Number),
        ("retries", Number),
        ("last error", Words),
        ("access path", Words),
    ];
    let slices = slices_to_look_at(facts);
    let ended = facts.run.state != RunState::Running;
    let rows: Vec<Vec<String>> = slices
        .iter()
        .take(MOST)
        .map(|slice| {
            vec![
                slice.slice_no.to_string(),
                slice.partition.clone(),
                words::bound(slice.from),
                words::bound(slice.to),
                summary::slice_state(slice, ended).to_owned(),
                count(slice.rows),
                count(slice.estimated_rows),
                count(slice.retries),
                slice.last_error.clone().unwrap_or_else(|| NOTHING.into()),
                slice.access_path.clone(),
            ]
        })
        .collect();
    let caption = match slices.len().saturating_sub(MOST) {
        0 => "Slices to look at".to_owned(),
        more => format!("Slices to look at, the first {MOST}; {more} others are left out"),
    };
    if rows.is_empty() {
        html! {}
    } else {
        table(&caption, &heads, &rows)
    }
}

/// What the plan warned of.
pub fn warnings(facts: &Facts) -> Markup {
    const MOST: usize = 20;
    let heads = [("warning", Words), ("of", Words), ("access path", Words)];
    let rows: Vec<Vec<String>> = plan_warnings(facts)
        .into_iter()
        .take(MOST)
        .map(|w| vec![w.text.to_owned(), w.slices(), w.access_path.to_owned()])
        .collect();
    if rows.is_empty() {
        html! {}
    } else {
        table("What the plan warned of", &heads, &rows)
    }
}

/// What the target could not take.
pub fn rejects(facts: &Facts) -> Markup {
    const MOST: usize = 30;
    if facts.rejects.is_empty() {
        return html! {};
    }
    let heads = [("column", Words), ("SQLSTATE", Word), ("rows", Number), ("for example", Words)];
    let rows: Vec<Vec<String>> = facts
        .rejects
        .iter()
        .take(MOST)
        .map(|group| {
            vec![
                group.column.clone().unwrap_or_else(|| "(whole row)".into()),
                group.sqlstate.clone(),
                count(group.count),
                group.example.clone(),
            ]
        })
        .collect();
    let caption = match facts.rejects.len().saturating_sub(MOST) {
        0 => "By column and SQLSTATE".to_owned(),
        more => format!("By column and SQLSTATE; {more} rarer kinds are left out"),
    };
    html! { section { h2 { "Rejected rows" } (table(&caption, &heads, &rows)) } }
}
