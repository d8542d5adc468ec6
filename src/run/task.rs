//! What a worker is hired for, in one value that travels through shared memory.

use super::dedup::DedupRequest;
use super::replay::ReplayRequest;
use super::request::Request;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A worker's task: borrowed where it is given, owned where it is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there is one a call, and it is not kept")]
pub enum Task<'a> {
    /// To claim slices and pull them, beside others.
    Pull(Cow<'a, Request>),
    /// To take doubles out of the target, alone.
    Dedup(Cow<'a, DedupRequest>),
    /// To take rejects through the mapping again, alone.
    Replay(Cow<'a, ReplayRequest>),
}
