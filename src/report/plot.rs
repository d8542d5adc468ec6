//! The drawings of the page: plain SVG, coloured by the classes of `html/page.css`, every value
//! also in a tooltip of its own and in the page's tables.
//!
//! In: the run's course, shares, slices. Out: markup that is well-formed XML.

mod batch_time;
mod frame;
mod rate;
mod scale;
mod shares;
mod slices;

pub use batch_time::batch_time;
pub use rate::rate;
pub use shares::shares;
pub use slices::{looks, slices};

use super::parts::Part;

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
fn px(pixels: f64) -> String {
    let rounded = (pixels * 10.0).round() / 10.0;
    // Not "-0", nor anything that is no coordinate.
    if rounded.is_finite() { format!("{}", rounded + 0.0) } else { "0".to_owned() }
}
