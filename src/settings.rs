//! The settings `lrs_extract.*`. What belongs to one pipeline is in its row, not here.

use crate::pg_compat;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// What the names of the settings begin with.
const PREFIX: &std::ffi::CStr = c"lrs_extract";

static WORKER_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(64);
static TRANSFORM_THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static FAST_JSONB: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Registers the settings; called once, when the library is loaded.
pub fn register() {
    GucRegistry::define_int_guc(
        c"lrs_extract.worker_memory",
        c"Memory of a worker of pull(): rows between the source and the insert, and what it takes besides.",
        c"One statement larger than this still passes, alone.",
        &WORKER_MEMORY,
        8,
        4096,
        GucContext::Userset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"lrs_extract.transform_threads",
        c"Threads in each worker of pull() that make values out of JSON.",
        c"0: as many as the cores allow, beside the workers themselves and their readers.",
        &TRANSFORM_THREADS,
        0,
        64,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_bool_guc(
        c"lrs_extract.fast_jsonb",
        c"Makes stored jsonb, compressed where the column asks for it, in the workers' own threads.",
        c"What is not recognised, or with off everything, is left to the server's jsonb_in. The stored values are the same.",
        &FAST_JSONB,
        GucContext::Userset,
        GucFlags::empty(),
    );
    pg_compat::reserve_setting_prefix(PREFIX);
}

/// Warns of settings with the extension's prefix that it does not have: a typing error would otherwise
/// change nothing, in silence. From 15 on the server refuses them itself.
pub fn warn_of_unknown() {
    if pg_compat::SERVER_MAJOR < 15 {
        pg_compat::reserve_setting_prefix(PREFIX);
    }
}

/// Whether jsonb is made in the transform threads where that is possible.
pub fn fast_jsonb() -> bool {
    FAST_JSONB.get()
}

/// Bytes of rows in flight in a worker.
pub fn worker_memory() -> usize {
    usize::try_from(WORKER_MEMORY.get()).unwrap_or(64) << 20
}

/// Transform threads for each of `jobs` workers.
pub fn transform_threads(jobs: usize) -> usize {
    match usize::try_from(TRANSFORM_THREADS.get()) {
        Ok(threads) if threads > 0 => threads,
        _ => threads_for(std::thread::available_parallelism().map_or(1, usize::from), jobs),
    }
}

/// A worker keeps one core busy with inserts; one transform thread keeps up with about two of
/// them, so more than a few are never of use.
fn threads_for(cores: usize, jobs: usize) -> usize {
    (cores / jobs.max(1)).saturating_sub(1).clamp(1, 4)
}

#[cfg(test)]
mod tests {
    use super::threads_for;

    #[test]
    fn threads_follow_the_cores_and_are_never_none() {
        assert_eq!(threads_for(2, 2), 1);
        assert_eq!(threads_for(8, 2), 3);
        assert_eq!(threads_for(64, 2), 4);
        assert_eq!(threads_for(4, 100), 1);
    }
}
