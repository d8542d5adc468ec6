//! # lrs_extract
//!
//! Pulls a period of a huge partitioned table from a busy PostgreSQL (the source) into this one
//! (the stage): exactly once, resumable, bounded in memory, and it says where the time went.
//!
//! ## The map
//!
//! From top to bottom; each module uses those below it, never one above (`tests/repository/modules.rs`):
//!
//! | module | what it does | faces the server |
//! | --- | --- | --- |
//! | [`api`] | the SQL functions: arguments in, rows out | yes |
//! | [`worker`] | the entry point of the background workers | yes |
//! | [`pull`] | a run: leader and workers, a slice pulled batch by batch, or compared and repaired | yes |
//! | [`maintenance`] | `dedup` and `replay`, by one worker in committed steps | yes |
//! | [`verify`] | source, target and rejects side by side, down to the rows that differ | yes |
//! | [`check`] | whether a pull would go through, check by check | yes |
//! | [`plan`] | a period: pipeline, connection, slices | yes |
//! | [`pool`] | background workers and the memory that they share | yes |
//! | [`threads`] | threads beside the main one, and how it waits for them | yes |
//! | [`ledger`] | runs, heap scans, slices, batches, rejects, pipelines: a file a table | yes |
//! | [`load`] | finished values into the target, through SPI | yes |
//! | [`backend`] | transactions, roles, times, queries, the latch | yes |
//! | [`transform`] | raw rows to finished values, by the mapping | no |
//! | [`source`] | the client connection, the walks by key and by heap, raw rows | no |
//! | [`mod@slice`] | the arithmetic of keys, intervals, blocks and slices | no |
//!
//! Beside them: [`report`] (what a run was like, as text or as a page), [`settings`], [`mod@error`],
//! [`pg_compat`]. `unsafe` is allowed only in the modules that face the server, each block with its
//! reason.
//!
//! ## The promises
//!
//! | promise | kept in | tested in |
//! | --- | --- | --- |
//! | 1. Every row once | [`source::Cursor`], [`slice::Edge`], [`slice::subtract`], [`slice::HeapScan`] | [`every_row_once`], [`keyset_properties`], [`heavy_ties`], [`never_twice`], [`memory`], [`heap_walk`] |
//! | 2. The checkpoint is the data | [`ledger::record_batch`], [`pull::Run`], [`backend::transaction::Unit`] | [`crash_recovery`], [`resume`] |
//! | 3. Nothing is covered before it is settled; what came later is found and repaired | [`source::Clock`], [`plan::Survey`], [`verify::bisect`] | [`settle`], [`standby`], [`repair_properties`], [`repair_recovery`] |
//! | 4. A bad value stops nothing and vanishes nowhere | [`transform::Refusal`], [`load::Loader`], [`ledger::record_rejects`] | [`rejects`], [`xapi_shapes`] |
//! | 5. The source is not harmed | [`source::Session`], [`source::Throttle`], [`source::Budget`], [`threads::RetryPolicy`] | [`source_unharmed`], [`source_trouble`] |
//! | 6. It can always be stopped | [`pool::WorkerPool`], [`threads::Stream`], [`backend::latch::wait`] | [`stopping`], [`locks_and_slots`] |
//! | 7. Memory is bounded by bytes | [`source::Budget`], [`backend::memory`] | [`bounded_memory`] |
//! | 8. No secret leaves the mapping | [`source::Secret`] | [`hostile_names`] |
//!
//! [`every_row_once`]: ../tests/integration/promises/every_row_once.rs
//! [`keyset_properties`]: ../tests/integration/promises/keyset_properties.rs
//! [`heap_walk`]: ../tests/integration/promises/heap_walk.rs
//! [`heavy_ties`]: ../tests/integration/promises/heavy_ties.rs
//! [`memory`]: ../tests/integration/promises/memory.rs
//! [`never_twice`]: ../tests/integration/promises/never_twice.rs
//! [`crash_recovery`]: ../tests/integration/promises/crash_recovery.rs
//! [`resume`]: ../tests/integration/promises/resume.rs
//! [`settle`]: ../tests/integration/promises/settle.rs
//! [`repair_properties`]: ../tests/integration/promises/repair_properties.rs
//! [`repair_recovery`]: ../tests/integration/promises/repair_recovery.rs
//! [`rejects`]: ../tests/integration/promises/rejects.rs
//! [`source_unharmed`]: ../tests/integration/promises/source_unharmed.rs
//! [`stopping`]: ../tests/integration/promises/stopping.rs
//! [`bounded_memory`]: ../tests/integration/promises/bounded_memory.rs
//! [`hostile_names`]: ../tests/integration/promises/hostile_names.rs
//! [`standby`]: ../tests/integration/source/standby.rs
//! [`source_trouble`]: ../tests/integration/source/source_trouble.rs
//! [`xapi_shapes`]: ../tests/integration/target/xapi_shapes.rs
//! [`locks_and_slots`]: ../tests/integration/operations/locks_and_slots.rs

#![allow(rustdoc::private_intra_doc_links, reason = "the map is for those who work here")]

#[cfg(not(panic = "unwind"))]
compile_error!("errors cross the server's C frames by unwinding: build with panic = \"unwind\"");

pub mod report;
pub mod slice;
pub mod source;
pub mod transform;

mod api;
mod backend;
mod check;
mod error;
mod ledger;
mod load;
mod maintenance;
mod pg_compat;
#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its expectation does")]
mod pg_tests;
mod plan;
mod pool;
mod pull;
mod settings;
mod threads;
mod verify;
mod worker;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/schema/tables.sql", name = "tables", bootstrap);
extension_sql_file!(
    "../sql/schema/pipeline_aidt.sql",
    name = "pipeline_aidt",
    requires = ["tables"]
);
extension_sql_file!("../sql/schema/views.sql", name = "views", requires = ["pipeline_aidt"]);
extension_sql_file!("../sql/schema/bottleneck.sql", name = "bottleneck", requires = ["views"]);
extension_sql_file!("../sql/schema/finalize.sql", name = "finalize", finalize);

/// Called by the server when it loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg_compat::keep_backtraces_out_of_errors();
    settings::register();
    load::register();
    #[cfg(feature = "pg_test")]
    pg_tests::stand_in::register();
}

#[cfg(test)]
pub mod pg_test {
    //! What `cargo pgrx test` asks of a crate.

    pub fn setup(_: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
