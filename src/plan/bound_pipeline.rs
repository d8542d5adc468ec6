//! A pipeline with its mapping bound to the columns of its target.

use crate::backend::role::{check_encoding, current_role};
use crate::error::Failure;
use crate::ledger::Pipeline;
use crate::load::{self, Target};
use crate::pg_compat;
use crate::transform::BoundMapping;

/// A pipeline whose mapping fits its target.
pub struct BoundPipeline {
    pub pipeline: Pipeline,
    pub target: Target,
    pub mapping: BoundMapping,
}

impl BoundPipeline {
    /// Reads the pipeline `name` and its target, for an INSERT by the current role.
    ///
    /// # Errors
    /// [`Failure`] for a mapping that does not fit the target, or a privilege that is missing.
    pub fn read(name: &str) -> Result<BoundPipeline, Failure> {
        check_encoding()?;
        let pipeline = Pipeline::read(name)?;
        let target = load::describe(&pipeline.target_table, current_role())?;
        let mapping = BoundMapping::new(
            &pipeline.mapping,
            pipeline.on_bad_value,
            &pipeline.timestamp_column,
            pg_compat::SERVER_MAJOR,
            |column| target.find(column),
        )?
        .in_time_zone(&pipeline.time_zone);
        load::check_time_zone(&pipeline.time_zone)?;
        target.check_texts(&pipeline.mapping)?;
        target.check_privileges(mapping.columns().map(|c| c.name.as_str()))?;
        Ok(BoundPipeline { pipeline, target, mapping })
    }
}
