//! How far a walk has come.

use super::Edge;

/// Everything before it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// In the order of keys.
    Key(Edge),
    /// In the order of the heap: all blocks before this one.
    Block(u32),
}

impl Position {
    /// The edge of a walk by key.
    pub fn edge(self) -> Option<Edge> {
        match self {
            Position::Key(edge) => Some(edge),
            Position::Block(_) => None,
        }
    }

    /// The block of a walk by heap.
    pub fn block(self) -> Option<u32> {
        match self {
            Position::Key(_) => None,
            Position::Block(block) => Some(block),
        }
    }
}
