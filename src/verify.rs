//! Source, target and rejects of a period side by side: slice after slice for `verify`, down to the rows that
//! differ for a repair.
//!
//! In: a pipeline and a period, or the [`Sides`] of a run. Out: a [`Comparison`] a slice, or the rows in which
//! ranges differ. Nothing is changed. Called by `api`, `worker` and `pull`.

mod bisection;
mod comparer;
mod difference;
mod level;
mod parallel;
mod queries;
mod rows;
mod sides;
mod source_sums;
mod verification;

pub use bisection::{Bisected, bisect};
pub use comparer::Comparison;
pub use level::Level;
pub use parallel::{VerifyRequest, work};
pub use rows::{ComparedRange, Portion, compare, portions, rows_of_source};
pub use sides::{Compared, Ids, Sides, statement_column};
pub use source_sums::{Inquiry, SourceSums, sums_of_both};
pub use verification::{Verification, VerifyArguments};
