//! From raw rows to finished values.
//!
//! In: a chunk of raw source rows and a [`Recipe`] (the mapping, checked against the target's
//! columns). Out: per row, one [`Cell`] for each mapped column, or the reason why the row is
//! rejected. Pure Rust: runs in threads beside the reader. Called by `run`.

mod column;
mod document;
mod mapping;
mod recipe;
mod value;

pub use column::{ColumnKind, TargetColumn};
pub use mapping::{Mapping, MappingError, OnBadValue};
pub use recipe::{BadValue, Cell, FinishedRows, Recipe};
