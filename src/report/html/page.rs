//! The page from top to bottom.

use super::tables;
use crate::report::course::Course;
use crate::report::findings::{Findings, Step, Tone};
use crate::report::legible::{cut, shorten};
use crate::report::parts::{Part, Parts};
use crate::report::words::{self, NOTHING, count, percent, span};
use crate::report::{Facts, RunState, plot, summary};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
/// Even a text that slipped through the escaping could load and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Errors and details are shown up to this many characters.
const MOST_CHARACTERS: usize = 4_000;

/// The whole page.
pub fn page(facts: &Facts, findings: &Findings) -> Markup {
    let run = &facts.run;
    let title = format!("Run {} of pipeline {}", run.run_id, cut(&run.pipeline, 63));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) ": " (run.state.as_str()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p class="kicker" { "lrs_extract" }
                    h1 {
                        (title) " "
                        span class={ "badge " (tone(findings.tone)) } { (run.state.as_str()) }
                    }
                    p class="period" {
                        "Period " (words::bound(run.from)) " to " (words::bound(run.to))
                        "; started " (words::clock(run.started_at)) ". Times are UTC."
                    }
                    p class="headline" { (findings.headline) }
                }
                main {
                    (tiles(facts))
                    (error(facts))
                    (judgement(findings))
                    (time(facts))
                    (over_time(facts, findings))
                    (slices(facts))
                    (tables::rejects(facts))
                    (about(facts))
                }
                footer { "As of " (words::clock(facts.as_of)) " UTC. Sizes: 1 kB = 1024 bytes." }
            }
        }
    }
}

/// The class of a tone.
fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Plain => "plain",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    }
}

fn tiles(facts: &Facts) -> Markup {
    let run = &facts.run;
    let mut tiles = vec![
        ("rows", count(run.rows)),
        ("rejected", count(run.rejected)),
        ("took", span(facts.seconds())),
        ("rows a second", words::number(run.rows_per_second)),
        ("read", words::size(run.bytes as f64)),
        ("speed", words::bytes_rate(run.bytes_per_second)),
    ];
    if run.state != RunState::Done {
        tiles.push(("done", percent(run.share_done)));
    }
    if let Some(left) = run.time_left {
        tiles.push(("time left, about", span(left.as_secs_f64())));
    }
    html! {
        dl class="tiles" {
            @for (name, value) in tiles { div { dt { (name) } dd { (value) } } }
        }
    }
}

fn error(facts: &Facts) -> Markup {
    let run = &facts.run;
    let said = |text: &str| shorten(text, MOST_CHARACTERS).into_owned();
    html! {
        @if let Some(error) = &run.error {
            section class="error" {
                h2 {
                    "Error"
                    @if let Some(sqlstate) = &run.sqlstate { " " (cut(sqlstate, 20)) }
                }
                p class="said" { (said(error)) }
                @for (lead, text) in [("Detail: ", &run.detail), ("Hint: ", &run.hint)] {
                    @if let Some(text) = text { p class="said" { strong { (lead) } (said(text)) } }
                }
            }
        }
    }
}

fn judgement(findings: &Findings) -> Markup {
    html! {
        div class="columns" {
            @if !findings.notes.is_empty() {
                section {
                    h2 { "What stands out" }
                    ul class="notes" {
                        @for note in &findings.notes { li class=(tone(note.tone)) { (note.text) } }
                    }
                }
            }
            @if !findings.next.is_empty() {
                section {
                    h2 { "What to do next" }
                    ol class="next" { @for step in &findings.next { (self::step(step)) } }
                }
            }
        }
    }
}

fn step(step: &Step) -> Markup {
    html! {
        li {
            (step.text)
            @if let Some(sql) = &step.sql { pre { code { (shorten(sql, MOST_CHARACTERS)) } } }
        }
    }
}

fn time(facts: &Facts) -> Markup {
    let parts = Parts::from(&facts.shares);
    html! {
        section {
            h2 { "Where the time went" }
            @if parts.total() > 0.0 {
                figure {
                    (plot::shares(&parts))
                    figcaption {
                        span {
                            "Share of the workers' time. Verdict: "
                            strong { (cut(&facts.shares.verdict, 40)) } "."
                        }
                    }
                }
                p { (shorten(&facts.shares.advice, MOST_CHARACTERS)) }
                (tables::shares(&parts))
            } @else {
                p { "Nothing was measured." }
            }
        }
    }
}

fn over_time(facts: &Facts, findings: &Findings) -> Markup {
    html! {
        section {
            h2 { "Over time" }
            @if let Some(course) = Course::new(facts, plot::MOST_BINS) {
                figure {
                    figcaption {
                        h3 { "Rows a second" }
                        @if facts.run.state == RunState::Running {
                            "Batches that are not committed yet are not in it."
                        }
                    }
                    (plot::rate(&course))
                }
                figure {
                    figcaption {
                        h3 { "Time of a batch" }
                        (parts_legend(&course))
                    }
                    (plot::batch_time(&course))
                }
                @match &findings.quarters {
                    Some(quarters) => (tables::quarters(quarters)),
                    None => p { "Too few batches to compare the beginning with the end." },
                }
                (tables::course(facts))
                (tables::slowest(facts))
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
                li { i class={ "swatch " (plot::class_of(part)) } {} (part.name()) }
            }
        }
    }
}

fn slices(facts: &Facts) -> Markup {
    let (looks, retried) = plot::looks(facts);
    html! {
        section {
            h2 { "Slices" }
            @if let Some(drawing) = plot::slices(facts) {
                figure {
                    figcaption {
                        h3 { "Who had which slice when" }
                        ul class="legend" {
                            @for look in looks {
                                li { i class={ "swatch " (look.class()) } {} (look.name()) }
                            }
                            @if retried { li { i class="triangle" {} "pages tried again" } }
                        }
                    }
                    (drawing)
                }
            }
            p {
                (count(facts.slices_done() as i64)) " of " (count(facts.slices.len() as i64))
                " slices are done."
            }
            (tables::partitions(facts))
            (tables::slices(facts))
            (tables::warnings(facts))
        }
    }
}

fn about(facts: &Facts) -> Markup {
    let run = &facts.run;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
    let time =
        |t: Option<chrono::DateTime<chrono::Utc>>| t.map_or(NOTHING.to_owned(), words::clock);
    let about = [
        ("source", text(&run.source_version)),
        ("target", text(&run.target)),
        ("called by", run.caller.clone()),
        ("arguments", summary::arguments(run)),
        ("started", words::clock(run.started_at)),
        ("finished", time(run.finished_at)),
        ("complete up to", run.watermark.map_or(NOTHING.to_owned(), words::bound)),
        ("batches", count(facts.batches.len() as i64)),
    ];
    html! {
        div class="columns" {
            section { h2 { "The run" } (list(about)) }
            section { h2 { "The stage meanwhile" } (list(summary::stage_facts(facts))) }
        }
    }
}

fn list(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in pairs { dt { (name) } dd { (shorten(&value, 1_200)) } }
        }
    }
}
