//! A verification: source, target and rejects of a period side by side, slice after slice.
//!
//! In: a pipeline, a period and a [`Level`]. Out: a [`Comparison`] a slice. Nothing is changed. Called by
//! `api`.

mod expressions;
mod level;
mod source_count;
mod verification;

pub use level::Level;
pub use verification::{Comparison, Verification};
