//! The arithmetic of the key space: which part of a period is left to pull.
//!
//! In: a period, the source's partitions, what earlier runs covered.
//! Out: intervals of keys, none of them covered, each inside one partition.
//! Pure Rust; called by `plan`, `pull`, `ledger` and the walk of `source`.

mod coverage;
mod edge;
mod heap;
mod layout;
mod position;
mod spread;
mod width;

pub use coverage::{Interval, subtract};
pub use edge::{Edge, Key};
pub use heap::{Blocks, Heap, HeapScan, share_out};
pub use layout::{PlannedSlice, Segment, Slice, SliceState, lay_out};
pub use position::Position;
pub use spread::spread;
pub use width::Width;
