//! What `lrs_extract` promises whatever happens.
//!
//! 1. Every row once: [`every_row_once`], [`keyset_properties`], [`heavy_ties`], [`never_twice`], [`memory`],
//!    [`heap_walk`]. What does not arrive, or not as meant, is told: [`nothing_in_silence`].
//! 2. The checkpoint is the data: [`crash_recovery`], [`resume`].
//! 3. Nothing is covered before it has settled: [`settle`].
//! 4. A bad value stops nothing and vanishes nowhere: [`rejects`], [`mass_rejects`].
//! 5. The source is not harmed: [`source_unharmed`].
//! 6. It can always be stopped: [`stopping`].
//! 7. Memory is bounded by bytes, not rows: [`bounded_memory`].
//! 8. No secret leaves the mapping: [`hostile_names`].

mod bounded_memory;
pub mod crash_recovery;
mod every_row_once;
mod heap_walk;
mod heavy_ties;
mod hostile_names;
mod keyset_properties;
mod mass_rejects;
mod memory;
mod never_twice;
mod nothing_in_silence;
mod rejects;
mod repair_properties;
mod repair_recovery;
mod resume;
mod settle;
mod source_unharmed;
mod stopping;
