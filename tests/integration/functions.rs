//! The SQL functions: what each does with good arguments, refuses of bad ones, and leaves behind
//! when it is ended midway.

mod bad_input;
mod check;
mod check_conditions;
mod commit_boundary;
mod dedup;
mod dedup_beside_others;
mod dedup_stopping;
mod lookback;
mod repair;
mod repair_conditions;
mod repair_safety;
pub mod replay;
mod replay_rows;
mod replay_stopping;
mod report;
mod settings;
mod verify;
mod verify_keys;
mod verify_statements;
mod verify_stopping;
