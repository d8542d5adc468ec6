//! What a period of a pipeline is: the pipeline and its target, the connection to the source, and the
//! period's slices there.
//!
//! In: the name of a pipeline and a period. Out: a [`Survey`], of which `plan` shows all and `pull`
//! takes what is left; or its parts, for `verify` and `replay`. Nothing is counted and nothing changed.

mod bound_pipeline;
mod connection;
mod coverage;
mod covered;
mod identity;
mod layout;
mod leaves;
mod settled_period;
mod survey;
mod surveyed_slice;
mod walk_choice;
mod walks;

pub use bound_pipeline::{BoundPipeline, bind, check_privileges, target_of};
pub use connection::{check_usage, connection, directions};
pub use coverage::{Coverage, runs_that_count};
pub use covered::{Covered, CoveredSlice, Follows, lookback, survey_covered};
pub use identity::identity;
pub use layout::LayoutQuery;
pub use leaves::LeavesQuery;
pub use settled_period::{FIRST_COMMIT, nothing_settled};
pub use survey::{Survey, survey};
pub use surveyed_slice::SurveyedSlice;
pub use walk_choice::NO_STATISTICS;
pub use walks::{PlannedWalk, Walk};
