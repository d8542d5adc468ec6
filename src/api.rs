//! The SQL functions: what users type, checked and handed on.
//!
//! In: SQL arguments. Out: rows, or an error with SQLSTATE, detail and hint. Each function checks
//! its arguments, reads what it needs from the catalogs, and calls `run`, `ledger` or `source`.

mod arguments;
mod connection;
mod control;
mod dedup;
mod exclusive;
mod layout;
mod plan;
mod pull;
mod reach;
mod replay;
mod report;
mod survey;
mod verify;
mod wrapper;
