//! The source database, seen through a client connection: who it is, what its table looks like,
//! and the walk over its rows.
//!
//! In: a [`ConnectSpec`] and a table description. Out: raw rows in key order, page after page.
//! Pure Rust: runs in threads that never touch the stage server. Called by `threads`, `plan` and `verify`.

mod batch_size;
mod budget;
mod checksum;
mod clock;
mod connect;
mod copy;
mod describe;
mod error;
mod estimate;
mod keyset;
mod options;
mod partition;
mod sql;
mod throttle;
mod tls;
mod walk;

pub use batch_size::BatchSize;
pub use budget::{Budget, Doing, Permit};
pub use checksum::{
    COUNT_INSTEAD, Checksum, NO_HASH, RangeSize, StatementHash, checksum, is_about_a_value,
};
pub use clock::Clock;
pub use connect::{Canceller, Session, source_asks_for_password};
pub use copy::{Field, RawChunk, RawRow, from_wire, to_wire};
pub use describe::{StatementKind, Table, TableNames, WalkTable};
pub use error::{SourceError, Trouble};
pub use estimate::{Estimate, estimate};
pub use keyset::Cursor;
pub use options::{
    ConnectSpec, Limits, OptionError, Secret, SslMode, server_options, user_mapping_options,
};
pub use sql::{quote_identifier, quote_literal, timestamp_literal};
pub use throttle::{PAUSE, Throttle};
pub use walk::{BatchEnd, Parking, StreamItem, WalkRequest, walk};
