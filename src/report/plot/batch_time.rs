//! What a batch took over time, by part.

use super::frame::{Frame, svg};
use super::scale;
use super::style::class_of;
use crate::report::course::Course;
use crate::report::parts::{Part, Parts};
use crate::report::words;
use maud::{Markup, html};

const HEIGHT: f64 = 270.0;

/// The time of a batch, its parts stacked; a gap where no batch was at work.
pub fn batch_time(course: &Course) -> Markup {
    let batches: Vec<Parts> =
        course.bins.iter().map(|bin| bin.parts_of_a_batch().unwrap_or_default()).collect();
    let greatest = batches.iter().map(Parts::total).fold(0.0, f64::max) / 1e3;
    let step = scale::time_step(greatest, 5);
    let top = scale::top(greatest, step);
    let frame = Frame::new(HEIGHT, course.seconds, top);
    let body = html! {
        (frame.values(&scale::marks(top, step), scale::time_label))
        // The whole first, then each part less: what stays to be seen is the part itself.
        @for (n, part) in Part::ALL.into_iter().enumerate().rev() {
            @if batches.iter().any(|batch| batch.get(part) > 0.0) {
                @let up_to = |batch: &Parts| -> f64 {
                    Part::ALL[..=n].iter().map(|part| batch.get(*part)).sum::<f64>() / 1e3
                };
                path class=(class_of(part))
                    d=(frame.steps(batches.iter().map(up_to), course.bin_seconds())) {}
            }
        }
        (frame.times(course))
        (frame.tooltips(course, |n| match batches[n].total() {
            0.0 => "no batch at work".to_owned(),
            total => format!("a batch {}: {}", words::millis(total), batches[n].in_words()),
        }))
    };
    svg(HEIGHT, &label(&batches), body)
}

fn label(batches: &[Parts]) -> String {
    let totals = || batches.iter().map(Parts::total).filter(|total| *total > 0.0);
    match (totals().next(), totals().next_back()) {
        (Some(first), Some(last)) => format!(
            "Time of a batch by part: {} at the begin, {} at the end, {} at most",
            words::millis(first),
            words::millis(last),
            words::millis(totals().fold(0.0, f64::max))
        ),
        _ => "Time of a batch by part: nothing was measured".to_owned(),
    }
}
