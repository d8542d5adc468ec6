//! Where the time went, as one bar.

use super::frame::{WIDTH, svg};
use super::style::{class_of, px};
use crate::report::parts::{Part, Parts};
use crate::report::words::percent;
use maud::{Markup, html};

const HEIGHT: f64 = 46.0;
/// The width of a letter, on the safe side.
const LETTER: f64 = 8.0;

/// One bar, divided by the parts' shares.
pub fn shares(parts: &Parts) -> Markup {
    let word = |part: Part| format!("{} {}", part.name(), percent(parts.share(part)));
    let mut left = 0.0;
    let mut segments = Vec::new();
    for part in Part::ALL {
        let width = parts.share(part) * WIDTH;
        if width > 0.0 {
            segments.push((part, left, width));
        }
        left += width;
    }
    let label: Vec<String> = segments.iter().map(|segment| word(segment.0)).collect();
    let body = html! {
        @for (part, left, width) in &segments {
            g {
                title {
                    (word(*part)) ": " (part.description())
                }
                rect class={ "segment " (class_of(*part)) } x=(px(*left)) y="2"
                    width=(px(*width)) height=(px(HEIGHT - 4.0)) {}
                @if *width >= LETTER * word(*part).len() as f64 + 20.0 {
                    text class={ "on " (class_of(*part)) } x=(px(left + 10.0)) y="28" {
                        (word(*part))
                    }
                }
            }
        }
    };
    svg(HEIGHT, &format!("Shares of the time: {}", label.join(", ")), body)
}
