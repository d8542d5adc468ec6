//! Which worker had which slice when.

use super::frame::{LEFT, RIGHT, svg, time_axis};
use super::scale::Scale;
use super::style::px;
use crate::report::content::slice_state;
use crate::report::facts::{Facts, RunState, Slice, SliceState};
use crate::report::legible::cut;
use crate::report::words::{self, count, counted, seconds_between, span};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use std::collections::BTreeMap;

const LANE: f64 = 34.0;
const BAR: f64 = 22.0;
const TOP: f64 = 4.0;
const AXIS: f64 = 28.0;
/// With more slices than this, they go without words.
const MOST_WITH_WORDS: usize = 500;

/// The states that the drawing has, for its legend: class and name.
pub fn looks(facts: &Facts) -> Vec<(&'static str, &'static str)> {
    let begun = || facts.slices.iter().filter(|s| s.started_at.is_some());
    let shown = ["done", "running", "unfinished"].into_iter();
    let used = shown.filter(|name| begun().any(|s| slice_state(s, facts.run.state) == *name));
    used.map(|name| (class_of(name), name)).collect()
}

fn class_of(state: &str) -> &'static str {
    match state {
        "done" => "s-done",
        "running" => "s-running",
        _ => "s-unfinished",
    }
}

/// A lane for each worker, with the slices that it had; none where no slice was begun.
pub fn slices(facts: &Facts) -> Option<Markup> {
    let seconds = facts.seconds().max(1e-3);
    let x = Scale::new(seconds, LEFT, RIGHT);
    let mut lanes: BTreeMap<i32, Vec<(DateTime<Utc>, &Slice)>> = BTreeMap::new();
    for slice in &facts.slices {
        if let Some(started) = slice.started_at {
            lanes.entry(slice.worker.unwrap_or(0)).or_default().push((started, slice));
        }
    }
    if lanes.is_empty() {
        return None;
    }
    let axis = TOP + LANE * lanes.len() as f64;
    let body = html! {
        @for (n, (worker, slices)) in lanes.into_iter().enumerate() {
            @let y = TOP + LANE * n as f64;
            text class="mark" x=(px(LEFT - 8.0)) y=(px(y + BAR - 6.0)) text-anchor="end" {
                @if worker == 0 { "caller" } @else { "worker " (worker) }
            }
            @for (started, slice) in slices { (draw(facts, started, slice, &x, y)) }
        }
        (time_axis(&x, axis, seconds))
    };
    let (done, all) = (facts.slices_done(), facts.slices.len());
    Some(svg(axis + AXIS, &format!("Slices by worker over time: {done} of {all} done"), body))
}

fn draw(facts: &Facts, started: DateTime<Utc>, slice: &Slice, x: &Scale, y: f64) -> Markup {
    let at = |t| x.at(seconds_between(facts.run.started_at, t));
    let begin = at(started);
    let width = (at(slice.finished_at.unwrap_or_else(|| facts.end())) - begin).max(1.0);
    let state = slice_state(slice, facts.run.state);
    let words = facts.slices.len() <= MOST_WITH_WORDS;
    html! {
        g {
            @if words { title { (describe(facts, slice, state)) } }
            rect class={ "slice " (class_of(state)) } x=(px(begin)) y=(px(y)) width=(px(width))
                height=(px(BAR)) rx="2" {}
            @if let Some(name) = name(slice, width).filter(|_| words) {
                text class={ "on s " (class_of(state)) } x=(px(begin + 6.0)) y=(px(y + 15.0)) {
                    (name)
                }
            }
        }
    }
}

/// The day on which the slice's period begins, as far as there is room.
fn name(slice: &Slice, width: f64) -> Option<String> {
    const LETTER: f64 = 7.2;
    let date = words::date(slice.from);
    let room = ((width - 10.0) / LETTER).max(0.0) as usize;
    let short = date.get(date.len().saturating_sub(5)..).unwrap_or_default().to_owned();
    [date, short].into_iter().find(|name| name.len() <= room)
}

fn describe(facts: &Facts, slice: &Slice, state: &str) -> String {
    let took = match (slice.started_at, slice.finished_at) {
        (Some(started), Some(finished)) => {
            format!(" in {}", span(seconds_between(started, finished)))
        }
        _ => String::new(),
    };
    let expected = match (slice.state, facts.run.state) {
        (SliceState::Done, RunState::Done) => String::new(),
        _ => format!(" of about {}", count(slice.estimated_rows)),
    };
    format!(
        "slice {}, {} from {} to {}: {}, {}{expected}{took}",
        slice.slice_no,
        cut(&slice.partition, 63),
        words::bound(slice.from),
        words::bound(slice.to),
        state,
        counted(slice.rows, "row"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn drawn(facts: &Facts) -> String {
        slices(facts).unwrap().into_string()
    }

    #[test]
    fn each_slice_that_was_begun_has_its_bar() {
        let facts = sample::slowing(200);
        let drawing = drawn(&facts);
        assert_eq!(drawing.matches("class=\"slice s-done\"").count(), facts.slices.len());
        assert!(drawing.contains("worker 1") && drawing.contains("worker 2"));
        let drawing = drawn(&sample::failed(200));
        assert!(drawing.contains("s-unfinished") && !drawing.contains("s-running"));
    }
}
