//! A slice of a period as the source sees it.

use crate::slice::{PlannedSlice, SliceState};
use crate::source::Estimate;

/// A slice with the source's estimate of it.
#[derive(Clone, Debug)]
pub struct SurveyedSlice {
    pub planned: PlannedSlice,
    pub estimate: Estimate,
    pub warning: Option<String>,
    /// Which way what is left of it is walked, and why.
    pub way: Option<String>,
    /// Whether an unfinished scan of a heap has begun to read it.
    pub is_begun: bool,
}

impl SurveyedSlice {
    pub fn state(&self) -> SliceState {
        if self.is_begun { SliceState::Partial } else { self.planned.state() }
    }

    /// How it is read.
    pub fn access_path(&self) -> String {
        let parts = [Some(self.estimate.access_path.as_str()), self.way.as_deref()];
        let parts: Vec<&str> =
            parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        parts.join("; ")
    }
}
