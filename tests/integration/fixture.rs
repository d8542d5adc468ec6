//! The laboratory: servers that start in a second and are gone when the test ends, a source table
//! and a stage target with known contents, and the comparison of both sides as multisets.
//!
//! A test asks for a [`Lab`], pulls with a [`Pull`], and compares with [`Lab::assert_same_rows`].

mod bench;
mod calling;
mod certificates;
mod compare;
mod deduping;
mod pull;
mod raw_client;
mod rows;
mod running;
mod server;
mod session;
mod skip;
mod small_disk;
mod standby;
mod stopping;
mod version;
mod wait;

pub use bench::{Lab, Pair, READER_PASSWORD, TRUSTED};
pub use calling::{Calling, try_call};
pub use certificates::Authority;
pub use deduping::{DEDUP, dedup, try_dedup};
pub use pull::{Pull, Pulled};
pub use raw_client::RawClient;
pub use rows::Rows;
pub use running::Running;
pub use server::{Server, ServerPlan};
pub use session::{Notices, refusal, whole_text};
pub use skip::skip;
pub use small_disk::SmallDisk;
pub use stopping::Stepwise;
pub use version::Version;
pub use wait::{await_some, await_that};
