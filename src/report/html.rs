//! The report as one HTML page: no script, nothing loaded from anywhere, light or dark as the
//! reader's system is, fit to print.

use super::content::{self, Align, Table};
use super::course::Course;
use super::facts::{Facts, RunState};
use super::legible::{cut, legible, shorten};
use super::parts::{Part, Parts};
use super::plot;
use super::words::{self, count, percent, span};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("html/page.css");
/// Even a text that slipped through the escaping could load and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Errors and cells are cut at this many characters.
const MOST_CHARACTERS: usize = 4_000;
const MOST_IN_A_CELL: usize = 300;
/// Of the slices, so many are listed.
const MOST_SLICES: usize = 120;

/// Writes the page.
///
/// The templates escape whatever they are given; what is left that does not show is spelt out
/// here, in the whole page at once, so that no place can be forgotten.
pub fn render(facts: &Facts) -> String {
    legible(&page(facts).into_string()).into_owned()
}

fn page(facts: &Facts) -> Markup {
    let run = &facts.run;
    let title = format!("Run {} of pipeline {}", run.run_id, cut(&run.pipeline, 63));
    let state = content::state(run.state);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) ": " (state) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p class="kicker" { "lrs_extract" }
                    h1 { (title) " " span class={ "badge " (tone(facts)) } { (state) } }
                    p class="headline" { (content::headline(facts)) }
                }
                main {
                    (tiles(facts))
                    (error(facts))
                    (time(facts))
                    (over_time(facts))
                    (slices(facts))
                    @if let Some(rejects) = content::rejects(facts) {
                        section { h2 { "Rejected rows" } (table(&rejects)) }
                    }
                    div class="columns" {
                        section { h2 { "The run" } (list(content::run(facts))) }
                        section { h2 { "The stage during the run" } (list(content::stage(facts))) }
                    }
                }
                footer {
                    "As of " (words::clock(facts.as_of)) ". Times are UTC; 1 kB = 1024 bytes."
                }
            }
        }
    }
}

/// How good the news is: a class.
fn tone(facts: &Facts) -> &'static str {
    match facts.run.state {
        RunState::Running => "plain",
        RunState::Done if facts.run.rejected == 0 => "good",
        RunState::Done | RunState::Cancelled => "warning",
        RunState::Failed | RunState::Interrupted => "bad",
    }
}

fn tiles(facts: &Facts) -> Markup {
    let run = &facts.run;
    let mut tiles = vec![
        ("rows", count(run.rows)),
        ("rejected", count(run.rejected)),
        ("took", span(facts.seconds())),
        ("rows a second", words::number(run.rows_per_second)),
        ("read a second", words::size(run.bytes_per_second)),
    ];
    if run.skipped > 0 {
        tiles.insert(2, ("skipped", count(run.skipped)));
    }
    if run.state != RunState::Done {
        tiles.push(("done", percent(run.share_done)));
    }
    if let Some(left) = run.seconds_left {
        tiles.push(("left, about", span(left)));
    }
    html! {
        dl class="tiles" { @for (name, value) in tiles { div { dt { (name) } dd { (value) } } } }
    }
}

fn error(facts: &Facts) -> Markup {
    let run = &facts.run;
    let said = |text: &str| shorten(text, MOST_CHARACTERS).into_owned();
    html! {
        @if let Some(error) = &run.error {
            section class="error" {
                h2 { "Error " (cut(run.sqlstate.as_deref().unwrap_or_default(), 20)) }
                p { (said(error)) }
                @for (lead, text) in [("Detail: ", &run.detail), ("Hint: ", &run.hint)] {
                    @if let Some(text) = text { p { strong { (lead) } (said(text)) } }
                }
            }
        }
    }
}

fn time(facts: &Facts) -> Markup {
    let parts = Parts::from(&facts.shares);
    let measured = parts.total() > 0.0;
    html! {
        section {
            h2 { "Where the time went" }
            @if measured { figure { (plot::shares(&parts)) } }
            p class="verdict" {
                "Verdict: " strong { (cut(&facts.shares.verdict, 40)) } ". "
                (shorten(&facts.shares.advice, MOST_CHARACTERS))
            }
            @if measured {
                dl class="facts" {
                    @for part in Part::ALL.into_iter().filter(|part| parts.get(*part) > 0.0) {
                        dt { (swatch(plot::class_of(part))) (part.name()) }
                        dd { (percent(parts.share(part))) ", " (part.description()) }
                    }
                }
            }
        }
    }
}

fn swatch(class: &str) -> Markup {
    html! { i class={ "swatch " (class) } {} }
}

fn over_time(facts: &Facts) -> Markup {
    html! {
        section {
            h2 { "Over time" }
            @if let Some(course) = Course::new(facts, plot::MOST_BINS) {
                figure {
                    figcaption {
                        h3 { "Rows a second" }
                        "mean " (words::number(course.mean_rate())) ", dashed"
                    }
                    (plot::rate(&course))
                }
                figure {
                    figcaption { h3 { "Time of a batch, by part" } (parts_legend(&course)) }
                    (plot::batch_time(&course))
                }
                @if let Some(quarters) = content::quarters(facts) { (table(&quarters)) }
            } @else {
                p { "No batch was committed." }
            }
        }
    }
}

fn parts_legend(course: &Course) -> Markup {
    let used = |part: &Part| course.bins.iter().any(|bin| bin.parts.get(*part) > 0.0);
    html! {
        ul class="legend" {
            @for part in Part::ALL.into_iter().filter(used) {
                li { (swatch(plot::class_of(part))) (part.name()) }
            }
        }
    }
}

fn slices(facts: &Facts) -> Markup {
    html! {
        section {
            h2 { "Slices" }
            @if let Some(drawing) = plot::slices(facts) {
                figure {
                    figcaption {
                        h3 { "Who had which slice when" }
                        ul class="legend" {
                            @for (class, name) in plot::looks(facts) {
                                li { (swatch(class)) (name) }
                            }
                        }
                    }
                    (drawing)
                }
            }
            (table(&content::slices(facts, MOST_SLICES)))
            @for warning in content::warnings(facts) { p { (warning) } }
        }
    }
}

fn table(table: &Table) -> Markup {
    let class = |n: usize| match table.heads.get(n) {
        Some((_, Align::Right)) => Some("number"),
        _ => None,
    };
    html! {
        div class="scroll" {
            table {
                @if let Some(remark) = &table.remark { caption { (remark) } }
                thead {
                    tr {
                        @for (n, (head, _)) in table.heads.iter().enumerate() {
                            th scope="col" class=[class(n)] { (head) }
                        }
                    }
                }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (n, cell) in row.iter().enumerate() {
                                td class=[class(n)] { (shorten(cell, MOST_IN_A_CELL)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn list(pairs: Vec<(&'static str, String)>) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in pairs { dt { (name) } dd { (shorten(&value, MOST_IN_A_CELL)) } }
        }
    }
}

#[cfg(test)]
mod tests;
