//! What drawings over time have in common: size, axes, stretches that answer to the pointer.

use super::scale::{Scale, marks, time_label, time_step};
use super::style::px;
use crate::report::course::Course;
use crate::report::words;
use maud::{Markup, html};

pub const WIDTH: f64 = 960.0;
pub const LEFT: f64 = 76.0;
pub const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 28.0;

/// The place that a drawing over time has.
pub struct Frame {
    pub height: f64,
    /// Seconds since the begin.
    pub x: Scale,
    pub y: Scale,
}

impl Frame {
    /// For values up to `greatest`.
    pub fn new(height: f64, seconds: f64, greatest: f64) -> Frame {
        Frame {
            height,
            x: Scale::new(seconds, LEFT, RIGHT),
            y: Scale::new(greatest, height - BOTTOM, TOP),
        }
    }

    /// The pixel of the horizontal axis.
    pub fn base(&self) -> f64 {
        self.height - BOTTOM
    }

    /// Horizontal lines with their labels.
    pub fn values(&self, marks: &[f64], label: impl Fn(f64) -> String) -> Markup {
        html! {
            @for mark in marks {
                @let y = self.y.at(*mark);
                line class="grid" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y)) y2=(px(y)) {}
                text class="mark" x=(px(LEFT - 8.0)) y=(px(y + 4.0)) text-anchor="end" {
                    (label(*mark))
                }
            }
        }
    }

    /// The time axis.
    pub fn times(&self, course: &Course) -> Markup {
        time_axis(&self.x, self.base(), course.seconds)
    }

    /// An area of steps, one for each stretch, above the axis.
    pub fn steps(&self, values: impl Iterator<Item = f64>, bin_seconds: f64) -> String {
        let mut path = format!("M{} {}", px(self.x.at(0.0)), px(self.base()));
        let mut height = px(self.base());
        let mut right = 0.0;
        for (n, value) in values.enumerate() {
            let next = px(self.y.at(value));
            if next != height {
                path.push_str(&format!("H{}V{next}", px(self.x.at(n as f64 * bin_seconds))));
                height = next;
            }
            right = self.x.at((n + 1) as f64 * bin_seconds);
        }
        path + &format!("H{}V{}Z", px(right), px(self.base()))
    }

    /// Invisible stretches with a tooltip each.
    pub fn tooltips(&self, course: &Course, text: impl Fn(usize) -> String) -> Markup {
        let seconds = course.bin_seconds();
        html! {
            g class="hits" {
                @for n in 0..course.bins.len() {
                    @let left = self.x.at(n as f64 * seconds);
                    @let width = self.x.at((n + 1) as f64 * seconds) - left;
                    rect x=(px(left)) y=(px(TOP)) width=(px(width)) height=(px(self.base() - TOP)) {
                        title { (words::time_of_day(course.begin_of(n))) " · " (text(n)) }
                    }
                }
            }
        }
    }
}

/// An axis of time since the begin, at pixel `y`.
pub fn time_axis(x: &Scale, y: f64, seconds: f64) -> Markup {
    html! {
        line class="axis" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y)) y2=(px(y)) {}
        @for second in marks(seconds, time_step(seconds, 9)) {
            @let at = x.at(second);
            line class="axis" x1=(px(at)) x2=(px(at)) y1=(px(y)) y2=(px(y + 5.0)) {}
            text class="mark" x=(px(at)) y=(px(y + 20.0)) text-anchor="middle" {
                (time_label(second))
            }
        }
    }
}

/// The drawing around `body`. Its words for those who do not see it are `label`.
pub fn svg(height: f64, label: &str, body: Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", px(height))) role="img" aria-label=(label) {
            (body)
        }
    }
}
