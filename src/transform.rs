//! From raw rows to finished values.
//!
//! In: a chunk of raw source rows and a [`BoundMapping`] (the mapping, checked against the target's
//! columns). Out: per row, one [`Cell`] for each mapped column, or the reason why the row is
//! rejected. Pure Rust: runs in threads beside the reader. Called by `threads` and `maintenance`.

mod bound_mapping;
mod column;
mod document;
pub mod json;
pub mod jsonb;
mod mapping;
pub mod pglz;
mod refusal;
#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used, reason = "only for tests")]
pub mod sample;
mod statement;
pub mod toast;
pub mod value;

#[cfg(not(target_endian = "little"))]
compile_error!("the stored formats written here are those of a little-endian server");

pub use bound_mapping::{BoundMapping, Cell, FinishedRows, RefusedRow, TransformState};
pub use column::{ColumnKind, TargetColumn};
pub use document::STACK_BYTES;
pub use mapping::{ColumnMapping, Mapping, MappingError, OnBadValue, Origin};
pub use refusal::Refusal;
