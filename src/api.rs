//! The SQL functions: arguments in, rows out.
//!
//! Each checks its arguments and calls the room that does the work; an error has a SQLSTATE, a detail
//! and a hint.

mod arguments;
mod check;
mod control;
mod dedup;
mod plan;
mod pull;
mod repair;
mod replay;
mod report;
mod verify;
mod wrapper;
