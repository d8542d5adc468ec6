//! The judgement: how it went in a sentence, what stands out, what to do next.

mod lists;
mod next;
mod notes;

pub use lists::{plan_warnings, slices_to_look_at, slowest_batches};
pub use next::Step;

use super::quarters::Quarters;
use super::words::{self, count, counted, percent, span};
use super::{Facts, RunState};

/// How good a piece of news is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    /// Neither good nor bad, or not yet.
    Plain,
    Warning,
    Bad,
}

/// Something that stands out.
#[derive(Clone, Debug)]
pub struct Note {
    pub tone: Tone,
    pub text: String,
}

/// What the facts come to.
#[derive(Debug)]
pub struct Findings {
    pub tone: Tone,
    pub headline: String,
    pub notes: Vec<Note>,
    pub next: Vec<Step>,
    pub quarters: Option<Quarters>,
}

impl Findings {
    pub fn new(facts: &Facts) -> Findings {
        let quarters = Quarters::new(facts);
        let tone = tone(facts);
        Findings {
            tone,
            headline: headline(facts),
            notes: notes::notes(facts, quarters.as_ref()),
            next: next::steps(facts, quarters.as_ref()),
            quarters,
        }
    }
}

fn tone(facts: &Facts) -> Tone {
    match facts.run.state {
        RunState::Running => notes::quiet(facts).map_or(Tone::Plain, |_| Tone::Warning),
        RunState::Done if facts.run.rejected == 0 => Tone::Good,
        RunState::Done | RunState::Cancelled => Tone::Warning,
        RunState::Failed | RunState::Interrupted => Tone::Bad,
    }
}

fn headline(facts: &Facts) -> String {
    let run = &facts.run;
    let took = span(facts.seconds());
    let rows = counted(run.rows, "row");
    let rate = words::rows_rate(run.rows_per_second);
    let bytes = words::bytes_rate(run.bytes_per_second);
    let rejected = match run.rejected {
        0 => "none rejected".to_owned(),
        n => format!("{} rejected", count(n)),
    };
    let done = percent(run.share_done);
    match run.state {
        RunState::Done if run.rows == 0 && run.rejected == 0 => {
            format!("Done in {took}: there was nothing to pull.")
        }
        RunState::Done => format!("Done: {rows} in {took}, {rate}, {bytes}; {rejected}."),
        RunState::Running => {
            let left = match run.time_left {
                Some(left) => format!(", about {} left", span(left.as_secs_f64())),
                None => String::new(),
            };
            format!("{done} done after {took}{left}: {rows}, {rate}, {bytes}; {rejected}.")
        }
        RunState::Failed => format!("Failed after {took}, {done} done: {rows}, {rejected}."),
        RunState::Cancelled => format!("Cancelled after {took}, {done} done: {rows}, {rejected}."),
        RunState::Interrupted => format!(
            "Interrupted: its processes are gone. Last sign of life after {took}, {done} done: \
             {rows}, {rejected}."
        ),
    }
}

/// Foreign text inside a sentence.
fn brief(text: &str) -> String {
    super::legible::cut(text, 160)
}

/// The first names of a list.
fn names(names: &[String]) -> String {
    const MOST: usize = 5;
    let mut listed: Vec<String> =
        names.iter().take(MOST).map(|name| super::legible::cut(name, 63)).collect();
    if names.len() > MOST {
        listed.push(format!("and {} more", names.len() - MOST));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests;
