//! Background workers: registered, watched, stopped on every way out of a call, and the memory that
//! they share with the leader.
//!
//! In: the name of a call and its request, as JSON. Out: what the workers report, and how they
//! ended. Knows neither pulls nor maintenance; `worker.rs` dispatches by the name.

mod caller;
mod session_settings;
mod shared_memory;
mod slot;
mod worker;
mod workers;

pub use caller::Caller;
pub use shared_memory::SharedMemory;
pub use worker::{Worker, WorkerArgument};
pub use workers::{LOCK_CHECK_AFTER, PoolState, WITHOUT_WORKERS, WorkerPool, no_slot};
