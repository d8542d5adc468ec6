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
mod style;

pub use batch_time::batch_time;
pub use rate::rate;
pub use shares::shares;
pub use slices::{looks, slices};
pub use style::{MOST_BINS, class_of};
