//! One call at a time works on a pipeline, and none where nothing can be written.

#![allow(unsafe_code)]

use crate::backend::role;
use crate::error::Failure;
use crate::ledger::{self, Holder};
use crate::run::claim::Claim;
use pgrx::prelude::*;

/// Refuses to `act` where nothing can be written.
///
/// # Errors
/// 25006.
pub fn check_writable(act: &str) -> Result<(), Failure> {
    // SAFETY: reads a global.
    if unsafe { pg_sys::XactReadOnly } {
        return Err(Failure::new("25006", format!("cannot {act} in a read-only transaction"))
            .with_hint(
                "A standby cannot be a stage; elsewhere, begin the transaction read write.",
            ));
    }
    Ok(())
}

/// One call at a time works on a pipeline: a lock until the end of the caller's transaction, and a
/// claim until the call is through. A worker that outlived its leader has a lock of its own, so that
/// what it may still commit is not missed.
///
/// # Errors
/// 55006 with who has it.
pub fn lock_pipeline(pipeline: &str) -> Result<Claim, Failure> {
    let claim = Claim::of(pipeline).ok_or_else(|| {
        Failure::new(
            "55006",
            format!("pipeline \"{pipeline}\" is in use by a call of this very session"),
        )
        .with_hint(
            "Read the rows of the first call to their end, or close its cursor, before the next.",
        )
    })?;
    let ask = |sql: &str, class: i32| {
        role::as_owner(|| Spi::get_one_with_args::<bool>(sql, &[class.into(), pipeline.into()]))
    };
    let leader = ask("select pg_try_advisory_xact_lock($1, hashtext($2))", ledger::LOCK_CLASS)?;
    if leader == Some(true) {
        // Taken and given back at once: workers share it.
        let free = "select case when pg_try_advisory_lock($1, hashtext($2)) \
                    then pg_advisory_unlock($1, hashtext($2)) else false end";
        if ask(free, ledger::WORKER_LOCK_CLASS)? == Some(true) {
            return Ok(claim);
        }
        return Err(Failure::new(
            "55006",
            format!("a worker of an earlier call for pipeline \"{pipeline}\" is still ending"),
        )
        .with_hint("Wait for it; pg_stat_activity shows it as 'lrs_extract worker'."));
    }
    Err(in_use(pipeline, ledger::holder(pipeline)?.as_ref()))
}

/// Says who works on the pipeline.
fn in_use(pipeline: &str, holder: Option<&Holder>) -> Failure {
    let failure = |who: &str| Failure::new("55006", format!("pipeline \"{pipeline}\" {who}"));
    let Some(Holder { pid, run_id, doing }) = holder else {
        return failure("was in use by a call that has just ended").with_hint("Call again.");
    };
    if let Some(run_id) = run_id {
        return failure(&format!("is being pulled by run {run_id} (pid {pid})")).with_hint(format!(
            "Wait for it, watch it in lrs_extract.runs, or stop it: select lrs_extract.cancel({run_id});"
        ));
    }
    let failure = failure(&format!("is in use by another session (pid {pid})"));
    match doing {
        Some(doing) => failure
            .with_detail(format!("Its worker says: {doing}."))
            .with_hint(format!("Wait for it, or stop it: select pg_cancel_backend({pid});")),
        None => failure
            .with_detail(
                "It has called pull, dedup, replay or forget in a transaction that has not ended yet.",
            )
            .with_hint(format!(
                "Wait for its transaction to end, or end it: select pg_terminate_backend({pid});"
            )),
    }
}
