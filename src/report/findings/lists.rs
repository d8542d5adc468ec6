//! What of many slices and batches is worth a line.

use crate::report::parts::Parts;
use crate::report::{Batch, Facts, Slice, SliceState};
use std::collections::BTreeMap;

/// What the plan said of some slices.
#[derive(Debug)]
pub struct PlanWarning<'a> {
    pub text: &'a str,
    pub slice_nos: Vec<i32>,
    /// How the first of them was walked.
    pub access_path: &'a str,
}

impl PlanWarning<'_> {
    /// `slices 7, 8, 9`.
    pub fn slices(&self) -> String {
        const MOST: usize = 8;
        let listed: Vec<String> = self.slice_nos.iter().take(MOST).map(i32::to_string).collect();
        let noun = if self.slice_nos.len() == 1 { "slice" } else { "slices" };
        match self.slice_nos.len().saturating_sub(MOST) {
            0 => format!("{noun} {}", listed.join(", ")),
            more => format!("{noun} {} and {more} more", listed.join(", ")),
        }
    }
}

/// The plan's warnings, the most frequent first.
pub fn plan_warnings(facts: &Facts) -> Vec<PlanWarning<'_>> {
    let mut by_text: BTreeMap<&str, PlanWarning<'_>> = BTreeMap::new();
    for slice in &facts.slices {
        if let Some(text) = slice.warning.as_deref() {
            let access_path = slice.access_path.as_str();
            let new = || PlanWarning { text, slice_nos: Vec::new(), access_path };
            by_text.entry(text).or_insert_with(new).slice_nos.push(slice.slice_no);
        }
    }
    let mut warnings: Vec<_> = by_text.into_values().collect();
    warnings.iter_mut().for_each(|warning| warning.slice_nos.sort_unstable());
    warnings.sort_by_key(|warning| std::cmp::Reverse(warning.slice_nos.len()));
    warnings
}

/// Slices that somebody should look at, the unfinished ones first.
pub fn slices_to_look_at(facts: &Facts) -> Vec<&Slice> {
    let mut slices: Vec<_> = facts
        .slices
        .iter()
        .filter(|s| s.state == SliceState::Running || s.retries > 0 || s.last_error.is_some())
        .collect();
    slices.sort_by_key(|s| (s.state == SliceState::Done, s.retries == 0, s.slice_no));
    slices
}

/// The batches that took longest, the worst first.
pub fn slowest_batches(facts: &Facts, most: usize) -> Vec<(&Batch, Parts)> {
    let mut batches: Vec<_> = facts.batches.iter().map(|b| (b, Parts::from(b))).collect();
    batches.sort_by(|a, b| b.1.total().total_cmp(&a.1.total()));
    batches.truncate(most);
    batches
}
