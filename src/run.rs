//! A run: slices pulled by workers, batch after committed batch.
//!
//! In: a [`request::Request`], complete. Out: rows in the target, entries in the ledger, a
//! [`report::BatchReport`] to the caller for each committed batch. The leader (the caller's
//! backend) starts workers and waits; a worker reads through `stream`, loads through `load`, and
//! commits. With `commit => 'caller'` the same steps run inline in the caller's transaction.
//!
//! Beside a run: [`dedup`], which has one worker take doubles out of the target, and [`replay`],
//! which takes rejects through the mapping again, in the caller's transaction. Called by `api`.

pub mod actor;
pub mod claim;
pub mod crew;
pub mod dedup;
pub mod inline;
pub mod leader;
pub mod replay;
pub mod report;
pub mod request;

pub mod errand;
mod exit;
pub mod pacing;
mod place;
mod progress;
mod shared;
mod step;
mod stream;
mod task;
mod thread;
pub mod wait;
mod worker;
