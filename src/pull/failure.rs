//! What follows when a walk fails: another attempt, at once or after a wait, or the run's end. Decides
//! only; the puller acts.

use super::request::CommitMode;
use crate::error::Failure;
use crate::source::SourceError;
use crate::threads::RetryPolicy;
use std::time::Duration;

/// Why a walk ended before its end.
#[derive(Debug)]
pub enum PullError {
    Source(SourceError),
    Stage(Failure),
}

impl From<SourceError> for PullError {
    fn from(error: SourceError) -> Self {
        PullError::Source(error)
    }
}

impl From<Failure> for PullError {
    fn from(failure: Failure) -> Self {
        PullError::Stage(failure)
    }
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Source(error) => error.into(),
            PullError::Stage(failure) => failure,
        }
    }
}

/// When the target's deferred constraints are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConstraintChecks {
    /// As they are declared: at commit, where it is too late to find the row that breaks one.
    #[default]
    AsDeclared,
    /// The same, and the commit has begun.
    Committing,
    /// In each INSERT, after a commit that met such a row: the row is found, and set aside.
    Immediate,
}

impl ConstraintChecks {
    pub fn commit_begins(&mut self) {
        if *self == ConstraintChecks::AsDeclared {
            *self = ConstraintChecks::Committing;
        }
    }
}

/// What the puller does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It loads the same rows once more, with constraints checked in each INSERT.
    RetryNow,
    /// It reads them once more, so that a row which the source cannot send is told from the others.
    WithCare,
    /// It waits so long, and reads again from the watermark.
    After(Duration),
    GiveUp,
}

/// Decides what follows `error`, met while constraints were checked as `checks` says, and pages read with
/// or without care. The caller's own
/// transaction is not tried again after an error of the stage.
pub fn decide(
    error: &PullError,
    checks: ConstraintChecks,
    careful: bool,
    commit: CommitMode,
    retry: &mut RetryPolicy,
) -> Decision {
    let delay = match error {
        PullError::Stage(failure)
            if checks == ConstraintChecks::Committing && failure.is_about_a_row() =>
        {
            return Decision::RetryNow;
        }
        PullError::Source(error) if error.is_damage() && !careful => return Decision::WithCare,
        // It was the right one when the run began: who changes it changes it in two places.
        PullError::Source(error) if error.is_wrong_password() => retry.next_delay(),
        PullError::Source(error) => retry.after(error),
        PullError::Stage(failure) if failure.is_transient() && commit != CommitMode::Caller => {
            retry.next_delay()
        }
        PullError::Stage(_) => None,
    };
    delay.map_or(Decision::GiveUp, Decision::After)
}

/// The failure that ends a run, with what was being done: `doing` from `timestamp` on.
pub fn given_up(
    failure: Failure,
    retries: u32,
    commit: CommitMode,
    doing: &str,
    timestamp: impl std::fmt::Display,
) -> Failure {
    let attempts = match retries {
        0 => String::new(),
        n => format!(" after {n} retries"),
    };
    let before = match commit {
        CommitMode::Caller => "everything before goes with the caller's transaction",
        CommitMode::Batch | CommitMode::Slice => "everything before is committed and stays",
    };
    let place = format!("While {doing} from {timestamp}{attempts}; {before}.");
    failure.with_more_detail(&place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> RetryPolicy {
        RetryPolicy::new(1, SECOND, 100)
    }

    fn decided(error: PullError, checks: ConstraintChecks, commit: CommitMode) -> Decision {
        decide(&error, checks, false, commit, &mut policy())
    }

    #[test]
    fn a_lost_source_is_asked_again_until_the_retries_end() {
        let lost = || PullError::Source(SourceError::transient("read", "08006", "gone"));
        let mut retry = policy();
        let mut next =
            || decide(&lost(), ConstraintChecks::AsDeclared, false, CommitMode::Caller, &mut retry);
        assert_eq!([next(), next()], [Decision::After(SECOND), Decision::GiveUp]);
    }

    #[test]
    fn what_stays_wrong_is_given_up() {
        let refused = PullError::Source(SourceError::permanent("read", "42501", "no"));
        let full = PullError::Stage(Failure::new("53100", "disk full"));
        for error in [refused, full] {
            let decision = decided(error, ConstraintChecks::AsDeclared, CommitMode::Batch);
            assert_eq!(decision, Decision::GiveUp);
        }
    }

    #[test]
    fn a_row_that_the_source_cannot_send_is_looked_for_once() {
        let bad = PullError::Source(SourceError::permanent("read", "22021", "no UTF8"));
        let next = |careful| {
            decide(&bad, ConstraintChecks::AsDeclared, careful, CommitMode::Batch, &mut policy())
        };
        assert_eq!([next(false), next(true)], [Decision::WithCare, Decision::GiveUp]);
    }

    #[test]
    fn a_deadlock_of_the_stage_is_tried_again_by_workers_only() {
        for (commit, decision) in [
            (CommitMode::Batch, Decision::After(SECOND)),
            (CommitMode::Slice, Decision::After(SECOND)),
            (CommitMode::Caller, Decision::GiveUp),
        ] {
            let deadlock = PullError::Stage(Failure::new("40P01", "deadlock"));
            assert_eq!(decided(deadlock, ConstraintChecks::AsDeclared, commit), decision);
        }
    }

    #[test]
    fn a_commit_that_a_row_breaks_is_made_again_at_once_but_not_for_ever() {
        let broken = || PullError::Stage(Failure::new("23503", "no such row"));
        for (checks, decision) in [
            (ConstraintChecks::Committing, Decision::RetryNow),
            (ConstraintChecks::Immediate, Decision::GiveUp),
            (ConstraintChecks::AsDeclared, Decision::GiveUp),
        ] {
            assert_eq!(decided(broken(), checks, CommitMode::Batch), decision);
        }
    }

    #[test]
    fn the_end_of_a_run_says_where_it_was_and_what_stays() {
        let failure = Failure::new("08006", "gone").with_detail("Detail.");
        let ended = given_up(failure, 3, CommitMode::Batch, "pulling acid.march", "2025-03-02");
        assert_eq!(
            ended.detail.as_deref(),
            Some(
                "Detail. While pulling acid.march from 2025-03-02 after 3 retries; everything before is committed and stays."
            )
        );
    }
}
