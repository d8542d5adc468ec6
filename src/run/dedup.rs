//! Doubles taken out of a target: found once, then removed step by step.

use super::actor::Actor;
use super::chore::{Chore, lead};
use super::crew::Crew;
use super::report::BatchReport;
use super::task::Task;
use crate::error::{Failure, notice};
use crate::load::Doubles;
use pgrx::datum::TimestampWithTimeZone;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Doubles removed by one commit.
const STEP: usize = 10_000;

/// A call of `dedup`, checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DedupRequest {
    pub pipeline: String,
    pub actor: Actor,
    pub doubles: Doubles,
    /// The period, in microseconds since 2000-01-01; either side may be infinite, as the server
    /// writes it.
    pub from: i64,
    pub to: i64,
}

/// What has come of it so far.
#[derive(Default)]
struct Tally {
    removed: i64,
    /// Doubles that were found and are not what they were.
    left: i64,
}

/// Has a worker remove the doubles; returns how many rows went. `crew` is empty, and lives in the
/// memory context of the call.
///
/// # Errors
/// As [`lead`]; what was committed before stays.
pub fn dedup(crew: *mut Crew, request: &DedupRequest) -> Result<i64, Failure> {
    let mut tally = Tally::default();
    match lead(crew, request, |report| tally.add(report)) {
        Ok(()) => {
            tally.tell_what_is_left();
            Ok(tally.removed)
        }
        Err(failure) => Err(tally.explain(failure)),
    }
}

impl Tally {
    fn add(&mut self, report: &BatchReport) {
        self.removed += report.rows;
        self.left += report.rejected;
        notice(&format!("{} doubles removed so far", self.removed));
    }

    fn tell_what_is_left(&self) {
        if self.left > 0 {
            notice(&format!(
                "{} doubles were left: they, or the rows kept for them, changed meanwhile. The same call looks at them anew.",
                self.left
            ));
        }
    }

    fn explain(&self, failure: Failure) -> Failure {
        let hint = failure.hint.clone().unwrap_or_else(|| {
            format!(
                "{} doubles were removed before, and that stays. The same call removes the rest.",
                self.removed
            )
        });
        failure.with_hint(hint)
    }
}

impl Chore for DedupRequest {
    const CALL: &'static str = "dedup";
    /// The server keeps it, in a cursor of the worker's session.
    type Rest = ();

    fn pipeline(&self) -> &str {
        &self.pipeline
    }

    fn actor(&self) -> &Actor {
        &self.actor
    }

    fn task(&self) -> Task<'_> {
        Task::Dedup(Cow::Borrowed(self))
    }

    fn find(&self) -> Result<(), Failure> {
        let bound = |micros: i64| {
            TimestampWithTimeZone::try_from(micros)
                .map_err(|_| Failure::internal("a bound that no timestamp has"))
        };
        self.doubles.find(bound(self.from)?, bound(self.to)?)
    }

    fn step(&self, (): &mut ()) -> Result<Option<BatchReport>, Failure> {
        let step = self.doubles.next(STEP)?;
        if step.is_empty() {
            return Ok(None);
        }
        let removed = self.doubles.remove(&step)?;
        Ok(Some(BatchReport {
            rows: removed as i64,
            rejected: (step.len() - removed) as i64,
            ..BatchReport::default()
        }))
    }
}
