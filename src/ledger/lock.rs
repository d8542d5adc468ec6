//! The lock of a pipeline: one call at a time works on it. It has three parts: what the
//! session holds, what the leader's transaction holds, and what each worker holds.

use super::pipeline::Pipeline;
use crate::backend::role::as_owner;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use pgrx::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Class of the leaders' advisory locks: "lrs ".
pub const LEADER_CLASS: i32 = i32::from_be_bytes(*b"lrs ");
/// Class of the locks that workers share: "lrsw".
const WORKER_CLASS: i32 = i32::from_be_bytes(*b"lrsw");

static LOCKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Marks a pipeline as in use by a call of this session, until it is dropped. The server's own lock
/// is the transaction's, which may well come back to the pipeline before a call has ended: through a
/// cursor, twice in a select list, from a trigger of the target.
#[derive(Debug)]
#[must_use = "dropped, it holds nothing"]
pub struct SessionLock(String);

impl SessionLock {
    /// `None` while another call of this session works on the pipeline.
    fn take(pipeline_id: &str) -> Option<SessionLock> {
        let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
        if locked.iter().any(|id| id == pipeline_id) {
            return None;
        }
        locked.push(pipeline_id.to_owned());
        Some(SessionLock(pipeline_id.to_owned()))
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
        locked.retain(|id| *id != self.0);
    }
}

/// One call at a time works on a pipeline: a lock until the end of the caller's transaction, and a
/// [`SessionLock`] until the call is through. A worker that outlived its leader has a lock of its own, so that
/// what it may still commit is not missed.
///
/// # Errors
/// 42704 where there is no pipeline of that name; 55006 with who has it.
pub fn lock_pipeline(pipeline: &str) -> Result<SessionLock, Failure> {
    let id = Subtransaction::look(|| Pipeline::read(pipeline))?.id;
    let session = SessionLock::take(&id).ok_or_else(|| {
        Failure::new(
            "55006",
            format!("pipeline \"{pipeline}\" is already in use by another call in this session"),
        )
        .with_hint(
            "Read the rows of the first call to their end, or close its cursor, before the next.",
        )
    })?;
    let ask = |sql: &str, class: i32| {
        as_owner(|| Spi::get_one_with_args::<bool>(sql, &[class.into(), id.as_str().into()]))
    };
    let leader = ask("select pg_try_advisory_xact_lock($1, hashtext($2))", LEADER_CLASS)?;
    if leader == Some(true) {
        // Taken and given back at once: workers share it.
        let free = "select case when pg_try_advisory_lock($1, hashtext($2)) \
                    then pg_advisory_unlock($1, hashtext($2)) else false end";
        if ask(free, WORKER_CLASS)? == Some(true) {
            return Ok(session);
        }
        return Err(Failure::new(
            "55006",
            format!("a worker of an earlier call for pipeline \"{pipeline}\" is still ending"),
        )
        .with_hint("Wait for it; pg_stat_activity shows it as 'lrs_extract worker'."));
    }
    Err(in_use(pipeline, holder(&id)?.as_ref()))
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
            .with_detail(format!("Its worker reports: {doing}."))
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

/// Takes the lock that the workers of a pipeline share, until this process ends.
///
/// # Errors
/// 55006 when another session holds it exclusively; else [`Failure`] as the server says.
pub fn lock_as_worker(pipeline: &str, pipeline_id: &str) -> Result<(), Failure> {
    let sql = "select pg_try_advisory_lock_shared($1, hashtext($2))";
    let arguments = [WORKER_CLASS.into(), pipeline_id.into()];
    match as_owner(|| Spi::get_one_with_args::<bool>(sql, &arguments))? {
        Some(true) => Ok(()),
        // The leader had it a moment ago, and workers share it: not one of ours.
        _ => Err(Failure::new(
            "55006",
            format!("another session holds the advisory lock of pipeline \"{pipeline}\""),
        )
        .with_hint("See the advisory locks in pg_locks, and end the session that has it.")),
    }
}

/// Who has a pipeline's lock.
struct Holder {
    pid: i32,
    /// The run that it leads, as far as it is committed.
    run_id: Option<i64>,
    /// What its worker says it is at.
    doing: Option<String>,
}

/// Who has the pipeline's lock now; `None` when it has just been given back.
///
/// # Errors
/// [`Failure`] when the locks cannot be read.
fn holder(pipeline_id: &str) -> Result<Option<Holder>, Failure> {
    let classes = [LEADER_CLASS, WORKER_CLASS].map(i64::from);
    as_owner(|| {
        Spi::connect(|client| {
            let sql = include_str!("../../sql/ledger/holder.sql");
            let arguments = [classes[0].into(), classes[1].into(), pipeline_id.into()];
            let Some(row) = client.select(sql, Some(1), &arguments)?.next() else {
                return Ok(None);
            };
            let (run_id, doing) = (row.get_by_name("run_id")?, row.get_by_name("doing")?);
            Ok(row.get_by_name("pid")?.map(|pid| Holder { pid, run_id, doing }))
        })
    })
    .map_err(|error: pgrx::spi::Error| error.into())
}

/// Which of the processes `pids` waits for a lock that process `holder` has.
///
/// # Errors
/// [`Failure`] when the locks cannot be read.
pub fn waits_for(pids: Vec<i32>, holder: i32) -> Result<Option<i32>, Failure> {
    let sql = include_str!("../../sql/ledger/blocked_by_leader.sql");
    as_owner(|| Spi::get_one_with_args::<i32>(sql, &[pids.into(), holder.into()]))
        .map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::SessionLock;

    #[test]
    fn a_pipeline_is_locked_once_until_the_lock_goes() {
        let lock = SessionLock::take("a");
        assert!(lock.is_some());
        assert!(SessionLock::take("a").is_none());
        assert!(SessionLock::take("b").is_some());
        drop(lock);
        assert!(SessionLock::take("a").is_some());
    }
}
