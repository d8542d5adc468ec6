//! What the stage itself did during a run: WAL that this process wrote, checkpoints, autovacuum.

#![allow(unsafe_code)]

use pgrx::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// The WAL that this process had written when it was last asked.
static WAL_BEFORE: AtomicU64 = AtomicU64::new(0);

/// Bytes of WAL that this process has written since this was last asked, or since it began: what
/// was rolled back too.
pub fn take_wal_bytes() -> i64 {
    // SAFETY: a counter of this process, which its main thread alone writes and reads.
    let now = unsafe { pg_sys::pgWalUsage.wal_bytes };
    let before = WAL_BEFORE.swap(now, Ordering::Relaxed);
    i64::try_from(now.saturating_sub(before)).unwrap_or(i64::MAX)
}

#[cfg(any(feature = "pg17", feature = "pg18"))]
const CHECKPOINTS: &str = include_str!("../../sql/ledger/checkpoints_17.sql");
#[cfg(not(any(feature = "pg17", feature = "pg18")))]
const CHECKPOINTS: &str = include_str!("../../sql/ledger/checkpoints_13.sql");

/// The counters of the server and of a target as they stand now, as JSON. Not for the hot path:
/// before 15 it takes some 10 ms until the statistics are written out to be read.
///
/// # Errors
/// As the server says.
pub fn counters(target: Option<&str>) -> Result<Option<String>, pgrx::spi::Error> {
    // A transaction sees statistics as they were when it first looked.
    Spi::run("select pg_stat_clear_snapshot()")?;
    let (timed, requested) = Spi::get_two::<i64, i64>(CHECKPOINTS)?;
    Spi::get_one_with_args(
        include_str!("../../sql/ledger/stage_counters.sql"),
        &[target.into(), timed.into(), requested.into()],
    )
}
