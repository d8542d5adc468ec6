//! Finished rows into the target, through SPI.
//!
//! In: [`crate::transform::FinishedRows`] from the transform. Out: rows inserted, and those that the server refused.
//! A flush is registered as an ephemeral named relation, and one statement,
//! `insert into target (…) select … from lrs_extract_batch`, takes it from there by a scan node of ours: triggers,
//! partitions, generated columns, foreign and distributed tables work as for any INSERT. [`Duplicates`] takes rows out
//! of the target again. Called by `pull`, `maintenance` and `verify` on the main thread, inside a transaction.

mod bulk_extension;
mod compare;
mod duplicates;
mod flush_buffer;
mod identity;
mod loader;
mod removable;
mod row_scan;
mod row_versions;
mod target;
mod time_zone;

pub use compare::{
    StagePlace, StageRow, is_indexed, numbered_stage_sums, remove_rows, stage_digest, stage_row,
    stage_rows, stage_sums, target_rows,
};
pub use duplicates::Duplicates;
pub use identity::Identity;
pub use loader::{Loaded, Loader, OnConflict, RejectedRow};
pub use removable::{check_nothing_prepared, check_removable};
pub use row_scan::register;
pub use row_versions::{RowVersion, RowVersions};
pub use target::{Target, describe, may_select};
pub use time_zone::check_time_zone;
