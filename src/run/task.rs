//! What a worker is hired for, in one value that travels through shared memory.

use super::request::Request;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A worker's task: borrowed where it is given, owned where it is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task<'a> {
    /// To claim slices and pull them, beside others.
    Pull(Cow<'a, Request>),
}
