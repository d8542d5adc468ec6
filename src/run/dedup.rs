//! Doubles taken out of a target: one worker finds and removes them in committed steps, while the
//! leader waits and tells.

#![allow(unsafe_code)]

use super::actor::Actor;
use super::crew::{Crew, Standing, no_slot};
use super::leader::{NAP, SUSPICION};
use super::report::BatchReport;
use super::shared::{Shared, Slot};
use super::task::Task;
use super::wait;
use super::worker::{hand_over, in_transaction, look_around};
use crate::error::{Failure, notice};
use crate::ledger;
use crate::load::Doubles;
use crate::transaction::catching;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ffi::CString;
use std::time::Instant;

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
/// 53400 when there is no free worker slot, else what ended the worker before its end. It is
/// stopped by then, and what it has committed stays.
pub fn lead(crew: *mut Crew, request: &DedupRequest) -> Result<i64, Failure> {
    // SAFETY: the crew outlives this call; nobody else has a reference to it.
    let crew = unsafe { &mut *crew };
    crew.brief(&Task::Dedup(Cow::Borrowed(request)), 1)?;
    if !crew.hire(1) {
        return Err(no_slot(
            "Raise max_worker_processes and restart, or wait for a worker to end.",
        ));
    }
    let mut tally = Tally::default();
    let mut last_sign = Instant::now();
    loop {
        // First what the worker has come to, then what it said before.
        let standing = crew.standing();
        for report in crew.hear().0 {
            last_sign = Instant::now();
            tally.add(&report);
        }
        let failure = match standing {
            Standing::AtWork => None,
            Standing::Done => {
                crew.dismiss();
                tally.tell_what_is_left();
                return Ok(tally.removed);
            }
            Standing::Failed(failure) => Some(failure),
            Standing::Died(_) => Some(died()),
        };
        if let Some(failure) = failure {
            crew.dismiss();
            return Err(tally.explain(failure));
        }
        wait::wait(None, NAP);
        wait::check_client();
        if last_sign.elapsed() > SUSPICION {
            last_sign = Instant::now();
            crew.check_locks("Commit before calling dedup.")?;
        }
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

fn died() -> Failure {
    Failure::new("57P01", "the worker that removed doubles was terminated")
        .with_detail("Its last step was rolled back; what was committed before stays.")
}

/// The worker's whole work.
///
/// # Errors
/// What ended it before its end; the steps before are committed.
pub fn work(shared: &Shared, slot: &Slot, request: &DedupRequest) -> Result<(), Failure> {
    request.actor.take_over();
    catching(|| {
        in_transaction(|| ledger::lock_as_worker(&request.pipeline))?;
        announce(request, "looking for doubles");
        in_transaction(|| find(request))?;
        for number in 1.. {
            look_around(shared)?;
            announce(request, &format!("removing doubles, step {number}"));
            let Some(report) = in_transaction(|| remove_step(request, number))? else { break };
            hand_over(shared, slot, &report);
        }
        Ok(())
    })
}

fn find(request: &DedupRequest) -> Result<(), Failure> {
    let bound = |micros: i64| {
        TimestampWithTimeZone::try_from(micros)
            .map_err(|_| Failure::internal("a bound that no timestamp has"))
    };
    request.doubles.find(bound(request.from)?, bound(request.to)?)
}

/// Removes the next doubles; `None` when there are no more.
fn remove_step(request: &DedupRequest, number: i32) -> Result<Option<BatchReport>, Failure> {
    let step = request.doubles.next(STEP)?;
    if step.is_empty() {
        return Ok(None);
    }
    let removed = request.doubles.remove(&step)?;
    Ok(Some(BatchReport {
        batch_no: number,
        rows: removed as i64,
        rejected: (step.len() - removed) as i64,
        ..BatchReport::default()
    }))
}

/// Shows in pg_stat_activity what the worker is doing.
fn announce(request: &DedupRequest, doing: &str) {
    if let Ok(text) = CString::new(format!("lrs_extract pipeline {}: {doing}", request.pipeline)) {
        // SAFETY: the text is copied.
        unsafe {
            pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
        }
    }
}
