//! The settings `lrs_extract.*`. What belongs to one pipeline is in its row, not here.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static WORKER_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(64);
static TRANSFORM_THREADS: GucSetting<i32> = GucSetting::<i32>::new(1);

/// Registers the settings; called once, when the library is loaded.
pub fn register() {
    GucRegistry::define_int_guc(
        c"lrs_extract.worker_memory",
        c"Memory that a worker of pull() fills with rows between the source and the insert.",
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
        c"",
        &TRANSFORM_THREADS,
        1,
        64,
        GucContext::Userset,
        GucFlags::empty(),
    );
}

/// Bytes of rows in flight in a worker.
pub fn worker_memory() -> usize {
    usize::try_from(WORKER_MEMORY.get()).unwrap_or(64) << 20
}

/// Transform threads a worker.
pub fn transform_threads() -> usize {
    usize::try_from(TRANSFORM_THREADS.get()).unwrap_or(1)
}
