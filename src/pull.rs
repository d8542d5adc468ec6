//! A pull: slices read from the source and loaded by workers, batch after committed batch.
//!
//! In: [`Arguments`], checked. Out: rows in the target, entries in the ledger, a [`crate::ledger::Batch`]
//! to the caller for each committed batch. The leader (the caller's backend) launches workers and
//! waits; a worker reads through a stream of threads, loads, and commits. With `commit => 'caller'` the
//! same steps run inline in the caller's transaction. Called by `api` and `worker`.

mod comparing;
mod context;
mod failure;
mod herald;
mod inline;
mod leader;
mod memory;
mod open_batch;
mod pipeline_watch;
mod progress;
mod puller;
mod request;
mod run;
mod second_try;
mod slice_walk;
mod too_many;
mod way;
mod worker;

pub use comparing::{Method, Surplus};
pub use herald::{HeraldRequest, announce};
pub use leader::CALL;
pub use request::{Arguments, CommitMode, PullRequest};
pub use run::Run;
pub use worker::{record_failure, work};
