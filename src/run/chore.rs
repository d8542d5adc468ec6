//! A chore: work on a pipeline's target beside the runs. One worker does it in steps that each
//! commit on their own, while the leader waits and tells.

#![allow(unsafe_code)]

use super::actor::Actor;
use super::crew::{Crew, Standing, no_slot};
use super::leader::{NAP, SUSPICION};
use super::report::BatchReport;
use super::shared::{Shared, Slot};
use super::task::Task;
use super::worker::{hand_over, look_around};
use crate::backend::transaction::{catching, in_transaction};
use crate::backend::{client, latch};
use crate::error::Failure;
use crate::ledger;
use pgrx::pg_sys;
use std::ffi::CString;
use std::time::Instant;

/// What a chore is to those who have it done and do it.
pub trait Chore {
    /// The SQL function that asks for it.
    const CALL: &'static str;
    /// What is still to be done.
    type Rest;

    fn pipeline(&self) -> &str;
    fn actor(&self) -> &Actor;
    /// The chore as its worker gets it.
    fn task(&self) -> Task<'_>;

    /// Finds what there is to do, in a transaction of its own.
    ///
    /// # Errors
    /// What ends the chore.
    fn find(&self) -> Result<Self::Rest, Failure>;

    /// Does the next step, in a transaction of its own; `None` when nothing is left.
    ///
    /// # Errors
    /// What ends the chore; the step is rolled back then.
    fn step(&self, rest: &mut Self::Rest) -> Result<Option<BatchReport>, Failure>;
}

/// Has a worker do the chore; `tell` hears of each committed step. `crew` is empty, and lives in
/// the memory context of the call.
///
/// # Errors
/// 53400 when there is no free worker slot, else what ended the worker before its end. It is
/// stopped by then, and what it has committed stays.
pub fn lead<C: Chore>(
    crew: *mut Crew,
    chore: &C,
    mut tell: impl FnMut(&BatchReport),
) -> Result<(), Failure> {
    // SAFETY: the crew outlives this call; nobody else has a reference to it.
    let crew = unsafe { &mut *crew };
    crew.brief(&chore.task(), 1)?;
    if !crew.hire(1) {
        return Err(no_slot(
            "Raise max_worker_processes and restart, or wait for a worker to end.",
        ));
    }
    let mut last_sign = Instant::now();
    loop {
        // First what the worker has come to, then what it said before.
        let standing = crew.standing();
        for report in crew.hear().0 {
            last_sign = Instant::now();
            tell(&report);
        }
        let outcome = match standing {
            Standing::AtWork => None,
            Standing::Done => Some(Ok(())),
            Standing::Failed(failure) => Some(Err(failure)),
            Standing::Died(_) => Some(Err(died(C::CALL))),
        };
        if let Some(outcome) = outcome {
            crew.dismiss();
            return outcome;
        }
        latch::wait(None, NAP);
        client::check_client();
        if last_sign.elapsed() > SUSPICION {
            last_sign = Instant::now();
            crew.check_locks(&format!("Commit before calling {}.", C::CALL))?;
        }
    }
}

fn died(call: &str) -> Failure {
    Failure::new("57P01", format!("the worker of {call} was terminated"))
        .with_detail("Its last step was rolled back; what was committed before stays.")
}

/// The worker's whole work.
///
/// # Errors
/// What ended it before its end; the steps before are committed.
pub fn work<C: Chore>(shared: &Shared, slot: &Slot, chore: &C) -> Result<(), Failure> {
    chore.actor().take_over();
    catching(|| {
        // Held until the process ends.
        in_transaction(|| ledger::lock_as_worker(chore.pipeline()))?;
        announce(chore, "looking for what there is to do");
        let mut rest = in_transaction(|| chore.find())?;
        for number in 1.. {
            look_around(shared)?;
            announce(chore, &format!("step {number}"));
            let Some(report) = in_transaction(|| chore.step(&mut rest))? else { break };
            hand_over(shared, slot, &report);
        }
        Ok(())
    })
}

/// Shows in pg_stat_activity what the worker is doing.
fn announce<C: Chore>(chore: &C, doing: &str) {
    let text = format!("lrs_extract {} of pipeline {}: {doing}", C::CALL, chore.pipeline());
    if let Ok(text) = CString::new(text) {
        // SAFETY: the text is copied.
        unsafe {
            pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
        }
    }
}
