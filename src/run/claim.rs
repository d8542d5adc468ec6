//! The pipelines that this session is at work on. The lock of a pipeline is the transaction's,
//! which may well come back to it before it is through: through a cursor, twice in a select list,
//! from a trigger of the target.

use std::sync::{Mutex, PoisonError};

static CLAIMED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says that this session is at work on a pipeline, until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it claims nothing"]
pub struct Claim(String);

impl Claim {
    /// Claims the pipeline; `None` while another claim of this session holds it.
    pub fn of(pipeline: &str) -> Option<Claim> {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.iter().any(|name| name == pipeline) {
            return None;
        }
        claimed.push(pipeline.to_owned());
        Some(Claim(pipeline.to_owned()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.retain(|name| *name != self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::Claim;

    #[test]
    fn a_pipeline_is_claimed_once_until_the_claim_goes() {
        let claim = Claim::of("a");
        assert!(claim.is_some());
        assert!(Claim::of("a").is_none());
        assert!(Claim::of("b").is_some());
        drop(claim);
        assert!(Claim::of("a").is_some());
    }
}
