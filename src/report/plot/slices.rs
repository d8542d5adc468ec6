//! Which worker had which slice when.

use super::frame::{LEFT, RIGHT, svg, time_axis};
use super::px;
use super::scale::Scale;
use crate::report::legible::cut;
use crate::report::words::{self, count, counted, seconds_between, span};
use crate::report::{Facts, RunState, Slice, SliceState};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

const LANE: f64 = 40.0;
const BAR: f64 = 20.0;
const TOP: f64 = 6.0;
const AXIS: f64 = 28.0;
/// More lanes than this are not drawn.
const MOST_LANES: usize = 24;
/// More bars than about this are not drawn: short neighbours of a lane become one.
const MOST_BARS: f64 = 800.0;

/// How a slice looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SliceLook {
    Done,
    Running,
    Unfinished,
}

impl SliceLook {
    pub fn class(self) -> &'static str {
        match self {
            SliceLook::Done => "s-done",
            SliceLook::Running => "s-running",
            SliceLook::Unfinished => "s-unfinished",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            SliceLook::Done => "done",
            SliceLook::Running => "running",
            SliceLook::Unfinished => "unfinished",
        }
    }

    fn of(slice: &Slice, state: RunState) -> SliceLook {
        match (slice.state, state) {
            (SliceState::Done, _) => SliceLook::Done,
            (_, RunState::Running) => SliceLook::Running,
            _ => SliceLook::Unfinished,
        }
    }
}

/// The looks that the drawing has, for its legend; and whether any slice was tried again.
pub fn looks(facts: &Facts) -> (BTreeSet<SliceLook>, bool) {
    let begun = || facts.slices.iter().filter(|s| s.started_at.is_some());
    let looks = begun().map(|s| SliceLook::of(s, facts.run.state)).collect();
    (looks, begun().any(|s| s.retries > 0))
}

/// A bar: a slice, or some short ones side by side.
struct Bar<'a> {
    begin: f64,
    end: f64,
    look: SliceLook,
    retries: i64,
    slices: usize,
    first: &'a Slice,
}

/// A lane for each worker, with the slices that it had; none where no slice was begun.
pub fn slices(facts: &Facts) -> Option<Markup> {
    let seconds = facts.seconds().max(1e-3);
    let x = Scale::new(seconds, LEFT, RIGHT);
    let mut lanes: BTreeMap<i32, Vec<Bar<'_>>> = BTreeMap::new();
    for slice in &facts.slices {
        if let Some(bar) = bar(facts, slice, &x) {
            lanes.entry(slice.worker.unwrap_or(0)).or_default().push(bar);
        }
    }
    if lanes.is_empty() {
        return None;
    }
    let more = lanes.len().saturating_sub(MOST_LANES);
    let lanes: Vec<_> = lanes.into_iter().take(MOST_LANES).collect();
    let least = (RIGHT - LEFT) * lanes.len() as f64 / MOST_BARS;
    let axis = TOP + LANE * lanes.len() as f64;
    let height = axis + AXIS + if more > 0 { 18.0 } else { 0.0 };
    let body = html! {
        @for (n, (worker, bars)) in lanes.into_iter().enumerate() {
            @let y = TOP + LANE * n as f64;
            text class="mark" x=(px(LEFT - 8.0)) y=(px(y + LANE - 10.0)) text-anchor="end" {
                @if facts.run.commit_mode == "caller" { "caller" } @else { "worker " (worker) }
            }
            @for bar in joined(bars, least) { (draw(&bar, y + LANE - BAR - 4.0)) }
        }
        (time_axis(&x, axis, facts.run.started_at, seconds))
        @if more > 0 {
            text class="mark" x=(px(RIGHT)) y=(px(height - 2.0)) text-anchor="end" {
                "and " (more) " other workers"
            }
        }
    };
    let label = format!(
        "Slices by worker over time: {} of {} done",
        facts.slices_done(),
        facts.slices.len()
    );
    Some(svg(height, &label, body))
}

fn bar<'a>(facts: &Facts, slice: &'a Slice, x: &Scale) -> Option<Bar<'a>> {
    let at = |t| x.at(seconds_between(facts.run.started_at, t));
    let begin = at(slice.started_at?);
    Some(Bar {
        begin,
        end: at(slice.finished_at.unwrap_or_else(|| facts.end())).max(begin),
        look: SliceLook::of(slice, facts.run.state),
        retries: slice.retries.max(0),
        slices: 1,
        first: slice,
    })
}

/// The bars of a lane in order; those shorter than `least` pixels joined with their neighbours.
fn joined(mut bars: Vec<Bar<'_>>, least: f64) -> Vec<Bar<'_>> {
    bars.sort_by(|a, b| a.begin.total_cmp(&b.begin));
    let mut out: Vec<Bar<'_>> = Vec::new();
    for bar in bars {
        match out.last_mut() {
            Some(last) if last.end - last.begin < least && bar.begin - last.end < least => {
                last.end = last.end.max(bar.end);
                last.look = last.look.max(bar.look);
                last.retries = last.retries.saturating_add(bar.retries);
                last.slices += 1;
            }
            _ => out.push(bar),
        }
    }
    out
}

fn draw(bar: &Bar<'_>, y: f64) -> Markup {
    let width = (bar.end - bar.begin).max(1.5);
    // The mark is where the bar is, and inside the drawing.
    let middle = (bar.begin + width / 2.0).clamp(LEFT + 5.0, RIGHT - 5.0);
    html! {
        g {
            title { (describe(bar)) }
            rect class={ "slice " (bar.look.class()) } x=(px(bar.begin)) y=(px(y))
                width=(px(width)) height=(px(BAR)) rx="2" {}
            @if let Some(name) = name(bar, width) {
                text class="on s" x=(px(bar.begin + 6.0)) y=(px(y + 14.0)) { (name) }
            }
            @if bar.retries > 0 {
                path class="retry" d=(format!(
                    "M{} {}l-5 -9h10z", px(middle), px(y - 1.0)
                )) {}
            }
        }
    }
}

/// The day on which the slice's period begins, as far as there is room.
fn name(bar: &Bar<'_>, width: f64) -> Option<String> {
    const LETTER: f64 = 6.6;
    let date = words::date(bar.first.from);
    let room = ((width - 10.0) / LETTER).max(0.0) as usize;
    let short = date.get(date.len().saturating_sub(5)..).unwrap_or_default().to_owned();
    [date, short].into_iter().find(|name| bar.slices == 1 && name.len() <= room)
}

fn describe(bar: &Bar<'_>) -> String {
    let slice = bar.first;
    let retries = match bar.retries {
        0 => String::new(),
        n => format!(", {} tried again", counted(n, "page")),
    };
    if bar.slices > 1 {
        let others = bar.slices - 1;
        return format!(
            "slice {} and {others} others: {}{retries}",
            slice.slice_no,
            bar.look.name()
        );
    }
    let took = match (slice.started_at, slice.finished_at) {
        (Some(started), Some(finished)) => {
            format!(" in {}", span(seconds_between(started, finished)))
        }
        _ => String::new(),
    };
    format!(
        "slice {}, {} from {} to {}: {}, {} of about {}{took}{retries}",
        slice.slice_no,
        cut(&slice.partition, 63),
        words::bound(slice.from),
        words::bound(slice.to),
        bar.look.name(),
        count(slice.rows),
        counted(slice.estimated_rows, "row"),
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
        assert_eq!(drawing.matches("class=\"retry\"").count(), 1);
        assert!(drawing.contains("worker 1") && drawing.contains("worker 2"));
    }

    #[test]
    fn what_a_failed_run_left_is_unfinished() {
        let drawing = drawn(&sample::failed(200, 0.4));
        assert!(drawing.contains("s-unfinished") && !drawing.contains("s-running"));
        assert!(drawn(&sample::running(200, 0.4)).contains("s-running"));
    }

    #[test]
    fn ten_thousand_slices_are_drawn_as_some_hundred() {
        let mut facts = sample::run(200);
        let pattern = facts.slices[0].clone();
        let step = chrono::TimeDelta::milliseconds((facts.seconds() * 1e3 / 5_000.0) as i64);
        facts.slices = (0..10_000)
            .map(|n| {
                let started = facts.run.started_at + step * (n / 2);
                Slice {
                    slice_no: n,
                    worker: Some(n % 2),
                    started_at: Some(started),
                    finished_at: Some(started + step),
                    ..pattern.clone()
                }
            })
            .collect();
        let drawing = drawn(&facts);
        let bars = drawing.matches("<rect").count();
        assert!((200..=1_000).contains(&bars), "{bars}");
        assert!(drawing.len() < 250_000, "{}", drawing.len());
    }

    #[test]
    fn no_drawing_where_nothing_was_begun() {
        let mut facts = sample::run(4);
        facts.slices.iter_mut().for_each(|slice| slice.started_at = None);
        assert!(slices(&facts).is_none());
    }
}
