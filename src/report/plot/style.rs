//! What the drawings share: the classes of `html/page.css`, and coordinates.

use crate::report::parts::Part;

/// At most so many stretches of time: each is some pixels wide.
pub const MOST_BINS: usize = 200;

/// The class that colours a part.
pub fn class_of(part: Part) -> &'static str {
    match part {
        Part::Source => "p-source",
        Part::Transform => "p-transform",
        Part::Insert => "p-insert",
        Part::Lock => "p-lock",
        Part::Commit => "p-commit",
        Part::Throttle => "p-throttle",
    }
}

/// A coordinate, to a tenth of a pixel.
pub fn px(pixels: f64) -> String {
    let rounded = (pixels * 10.0).round() / 10.0;
    // Not "-0", nor anything that is no coordinate.
    if rounded.is_finite() { format!("{}", rounded + 0.0) } else { "0".to_owned() }
}
