//! The target: which value goes into which column, tables of every shape, what lies in their pages,
//! and the stage's troubles.

mod citus;
mod coerced_values;
mod distributed;
mod heap_size;
mod hypertable;
mod local_times;
mod mapping;
mod partman;
mod rows_at_fault;
mod sharded;
mod stage_trouble;
mod stored_values;
mod target_shapes;
mod targets;
mod xapi_shapes;
