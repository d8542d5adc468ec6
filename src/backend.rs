//! What every room that faces the server shares: transactions and caught errors, queries under the
//! latest snapshot, the extension's own row, roles, times, the wait on the latch, the process's own memory.
//!
//! Main thread only. Called by everything above it; knows no pipeline and no run.

pub mod client;
pub mod extension;
pub mod latch;
pub mod memory;
pub mod query;
pub mod role;
pub mod time;
pub mod transaction;
