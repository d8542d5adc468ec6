//! Threads beside the backend's own, and what the main thread does with them: starts them with all
//! signals blocked, waits for them on its latch, cancels what they run on the source.
//!
//! A thread never calls the server. Called by `plan`, `pull`, `maintenance` and `verify`.

mod call;
mod cancel;
mod client_watch;
mod count;
mod retry;
mod spawn;
mod stream;

pub use call::{Directions, FirstConnection, SourceClient, stand_by, wait_out};
pub use client_watch::ClientWatch;
pub use retry::RetryPolicy;
pub use spawn::spawn_quiet;
pub use stream::{Stream, Waited};
