//! A run: slices pulled by workers, batch after committed batch.
//!
//! In: a [`request::Request`], complete. Out: rows in the target, entries in the ledger, a
//! [`report::BatchReport`] to the caller for each committed batch. The leader (the caller's
//! backend) starts workers and waits; a worker reads through `stream`, loads through `load`, and
//! commits. With `commit => 'caller'` the same steps run inline in the caller's transaction.
//!
//! Beside the runs there are chores, done by one worker in committed steps: [`dedup`] takes doubles
//! out of the target, [`replay`] takes rejects through the mapping again. Called by `api`.

pub mod actor;
mod chore;
pub mod claim;
pub mod crew;
pub mod dedup;
pub mod inline;
pub mod leader;
pub mod replay;
pub mod report;
pub mod request;

pub mod client_watch;
pub mod count;
pub mod errand;
mod exit;
pub mod pacing;
mod pipeline_watch;
mod place;
mod progress;
mod recover;
mod shared;
mod step;
mod stream;
mod task;
mod thread;
mod worker;
