//! Work on a pipeline's target and its rejects beside the runs, by one worker in committed steps:
//! [`dedup()`] removes duplicates from the target, [`replay()`] takes rejects through the mapping again.
//!
//! In: a [`DedupRequest`] or [`ReplayRequest`], checked. Out: how many rows were moved. Both share the
//! shape of a [`MaintenanceTask`]. Called by `api` and `worker`; [`Refit`] also by `pull`, for rows that
//! it set aside too early.

mod dedup;
mod refit;
mod replay;
mod task;

pub use dedup::{DedupRequest, dedup};
pub use refit::Refit;
pub use replay::{ReplayRequest, replay};
pub use task::{MaintenanceTask, work};
