//! The source database, seen through a client connection: who it is, what its table looks like,
//! and the walk over its rows.
//!
//! In: a [`ConnectSpec`] and a table description. Out: raw rows, page after page: in the order of keys
//! (`key_walk`), page by page (`keyset`) or window by window (`window`), or in that of the heap
//! (`heap_walk`); and ranges of time as a comparison asks for them (`compare`, `wanted`).
//! Pure Rust: runs in threads that never touch the stage server. Called by `threads`, `plan` and `verify`.

mod batch_size;
mod budget;
mod checksum;
mod chunk;
mod client;
mod clock;
mod compare;
mod connect;
mod describe;
mod dial;
mod error;
mod estimate;
mod grants;
mod heap_page;
mod heap_walk;
mod index_advice;
mod key_progress;
mod key_walk;
mod keyset;
mod leaf;
mod options;
mod outside;
mod page_reader;
mod partition;
mod places;
mod public_key;
mod salvage;
mod session_sql;
mod sql;
mod statement_hash;
mod subscription;
mod table_facts;
mod throttle;
mod tls;
mod version;
mod walk;
mod walk_request;
mod wanted;
mod window;
mod wire;

pub use batch_size::BatchSize;
pub use budget::{Budget, Doing, Permit};
pub use checksum::{COUNT_INSTEAD, Checksum, RangeSize, actors_at, is_about_a_value, sums};
pub use chunk::{CHUNK_BYTES, Damage, Field, RawChunk, RawRow, Recheck, from_wire, to_wire};
pub use client::Pulse;
pub use clock::Clock;
pub use compare::{
    Parameter, Question, Rows, Side, SourceRow, TimeRange, numbered_sums, range_sums, source_rows,
};
pub use connect::facts::SessionFacts;
pub use connect::{Canceller, Session};
pub use describe::{KeyStatistics, StatementKind, Table, TableNames, WalkTable};
pub use dial::protection::Protection;
pub use error::{ROLE_LIMIT, SourceError, Trouble};
pub use estimate::{Estimate, KeyIndex, TYPICAL_PAGE, estimates};
pub use index_advice::index_advice;
pub use keyset::Cursor;
pub use leaf::{Costs, Leaf};
pub use options::{
    ConnectSpec, Limits, OptionError, Secret, SslMode, server_options, user_mapping_options,
};
pub use outside::Outside;
pub use sql::{fill, quote_identifier, quote_literal, timestamp_literal};
pub use statement_hash::{Digest, StatementHash, id_of_stage};
pub use subscription::Subscription;
pub use table_facts::{Part, TableFacts};
pub use throttle::{PAUSE, Throttle};
pub use walk::{Parking, has_session, walk};
pub use walk_request::{BatchEnd, StreamItem, WalkRange, WalkRequest, Wanted};
