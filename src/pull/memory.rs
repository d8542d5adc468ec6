//! How a worker's memory is shared out.

/// Rows are inserted when they come to this, while the cache still has them (benches/README.md); a
/// usual batch stays below the 64 subtransactions that a snapshot keeps in sight.
pub const FLUSH_BYTES: usize = 2 << 20;

/// What a worker takes besides rows: the server's caches, the threads' tables, heap that is kept.
const BESIDES_ROWS: usize = 17 << 20;

/// How much may come over the wire ahead of the load in a worker of so much memory: it is there up
/// to three times, as it came, as values made of it, and in the flush buffer.
pub fn in_flight(worker_memory: usize) -> usize {
    worker_memory.saturating_sub(BESIDES_ROWS).max(worker_memory / 2) / 3
}
