//! The settings `lrs_extract.*`. What belongs to one pipeline is in its row, not here.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static WORKER_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(64);
static TRANSFORM_THREADS: GucSetting<i32> = GucSetting::<i32>::new(1);
static FAST_JSONB: GucSetting<bool> = GucSetting::<bool>::new(true);

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
    GucRegistry::define_bool_guc(
        c"lrs_extract.fast_jsonb",
        c"Makes stored jsonb, compressed where the column asks for it, in the workers' own threads.",
        c"What is not recognised, or with off everything, is left to the server's jsonb_in. The stored values are the same.",
        &FAST_JSONB,
        GucContext::Userset,
        GucFlags::empty(),
    );
}

/// Whether jsonb is made in the transform threads where that is possible.
pub fn fast_jsonb() -> bool {
    FAST_JSONB.get()
}

/// Bytes of rows in flight in a worker.
pub fn worker_memory() -> usize {
    usize::try_from(WORKER_MEMORY.get()).unwrap_or(64) << 20
}

/// Transform threads a worker.
pub fn transform_threads() -> usize {
    usize::try_from(TRANSFORM_THREADS.get()).unwrap_or(1)
}
