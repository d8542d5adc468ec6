//! How many rows a batch has.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Rows a batch, at least one. A batch ends with the key that holds its last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchSize(NonZeroU32);

impl BatchSize {
    /// `None` below 1.
    pub fn new(rows: i32) -> Option<BatchSize> {
        u32::try_from(rows).ok().and_then(NonZeroU32::new).map(BatchSize)
    }

    pub fn rows(self) -> u64 {
        u64::from(self.0.get())
    }
}
