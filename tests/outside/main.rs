//! The promises of `lrs_extract`, tested from outside: real source and stage servers, real kills,
//! and the client crate `postgres`.
//!
//! Run by `cargo pgrx test pgNN`, which builds the extension and installs it into that version's
//! folders first. The stage is the version under test; the source is a real server of another
//! version (see `lab::version`). Every test has databases of its own; tests that kill have
//! servers of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its expectation does"
)]

mod lab;

mod bad_input;
mod blows;
mod commit_boundary;
mod connection_options;
mod dedup;
mod dedup_beside_others;
mod dedup_stopping;
mod dump;
mod every_row_once;
mod heavy_ties;
mod hostile_names;
mod keyset_properties;
mod locks_and_slots;
mod mapping;
mod monitoring;
mod never_twice;
mod operator;
mod pg_cron;
mod privileges;
mod psql_notices;
mod recipes;
mod rejects;
mod replay;
mod replay_rows;
mod replay_stopping;
mod report;
mod resume;
mod sample_source;
mod settings_mid_run;
mod settle;
mod sharded;
mod source_shapes;
mod source_trouble;
mod source_unharmed;
mod stage_trouble;
mod standby;
mod stopping;
mod stored_values;
mod target_shapes;
mod targets;
mod tls;
mod verify;
mod verify_statements;
mod verify_stopping;
mod xapi_shapes;
