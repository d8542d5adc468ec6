//! Rows a second over time.

use super::frame::{Frame, LEFT, RIGHT, svg};
use super::scale;
use super::style::px;
use crate::report::course::Course;
use crate::report::words::{self, number};
use maud::{Markup, html};

const HEIGHT: f64 = 230.0;

/// Rows a second over time, the mean across it.
pub fn rate(course: &Course) -> Markup {
    let seconds = course.bin_seconds();
    let rates: Vec<f64> = course.bins.iter().map(|bin| bin.rows / seconds).collect();
    let greatest = rates.iter().copied().fold(0.0, f64::max);
    let mean = course.mean_rate();
    let step = scale::step(greatest, 5);
    let top = scale::top(greatest, step);
    let frame = Frame::new(HEIGHT, course.seconds, top);
    let area = frame.steps(rates.iter().copied(), seconds);
    let mean_y = frame.y.at(mean);
    let label = format!(
        "Rows a second from {} on, for {}: {} on the mean, {} at most",
        words::clock(course.from),
        words::span(course.seconds),
        number(mean),
        number(greatest)
    );
    let body = html! {
        (frame.values(&scale::marks(top, step), number))
        path class="rate" d=(area) {}
        line class="mean" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(mean_y)) y2=(px(mean_y)) {}
        (frame.times(course))
        (frame.tooltips(course, |n| words::rows_rate(rates[n])))
    };
    svg(HEIGHT, &label, body)
}
