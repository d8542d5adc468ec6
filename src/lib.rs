//! # lrs_extract
//!
//! Pulls a period of a huge partitioned table from a busy PostgreSQL (the source) into this one
//! (the stage): exactly once, resumable, bounded in memory, and it says where the time went.
//!
//! The order of the data is the order of the modules:
//!
//! | module | what it does | faces the server |
//! | --- | --- | --- |
//! | [`api`] | the SQL functions: arguments checked, the period surveyed | yes |
//! | [`run`] | leader and workers; a slice pulled batch by batch | yes |
//! | [`source`] | the client connection, the keyset walk, raw rows | no |
//! | [`transform`] | raw rows to finished values, by the mapping | no |
//! | [`load`] | finished values into the target, through SPI | yes |
//! | [`ledger`] | runs, slices, batches, rejects; what is covered | yes |
//! | [`report`] | what a run was like, as text or as a page | no |
//! | [`slice`] | the arithmetic of keys, intervals and slices | no |
//! | [`transaction`], [`latest`], [`settings`], [`error`], [`pg_compat`] | what they share | yes |
//!
//! `unsafe` is allowed only in the modules that face the server, each block with its reason.

#[cfg(not(panic = "unwind"))]
compile_error!("errors cross the server's C frames by unwinding: build with panic = \"unwind\"");

pub mod report;
pub mod slice;
pub mod source;
pub mod transform;

mod api;
mod backend;
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
extension_sql_file!("../sql/schema/finalize.sql", name = "finalize", finalize);

/// Called by the server when it loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::register();
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
