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
        let target = target_of(&pipeline)?;
        let mapping = bind(&pipeline, &target)?;
        check_privileges(&pipeline, &target)?;
        Ok(BoundPipeline { pipeline, target, mapping })
    }
}

/// The target of a pipeline, for an INSERT by the current role.
///
/// # Errors
/// As [`load::describe`].
pub fn target_of(pipeline: &Pipeline) -> Result<Target, Failure> {
    load::describe(&pipeline.target_table, current_role())
}

/// Binds the mapping of a pipeline to its target.
///
/// # Errors
/// [`Failure`] for a mapping that does not fit the target.
pub fn bind(pipeline: &Pipeline, target: &Target) -> Result<BoundMapping, Failure> {
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
    Ok(mapping)
}

/// Checks that the current role, which the target was described for, may insert what the mapping fills.
///
/// # Errors
/// 42501 naming the column.
pub fn check_privileges(pipeline: &Pipeline, target: &Target) -> Result<(), Failure> {
    target.check_privileges(pipeline.mapping.columns.iter().map(|c| c.column.as_str()))
}
