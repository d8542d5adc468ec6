//! The entry point of every background worker, which hands over to the call that it serves.

#![allow(unsafe_code)]

use crate::backend::memory;
use crate::error::Failure;
use crate::maintenance::{self, DedupRequest, MaintenanceTask, ReplayRequest};
use crate::pool::{SharedMemory, Worker, WorkerArgument};
use crate::pull::{HeraldRequest, PullRequest};
use crate::verify::{self, VerifyRequest};
use crate::{pg_compat, pull};
use pgrx::prelude::*;

/// Named by the pool when it registers a worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn lrs_extract_worker_main(argument: pg_sys::Datum) {
    let argument = WorkerArgument::unpack(argument);
    // SAFETY: in a worker that has just started.
    unsafe {
        pg_compat::handle_signals();
        pg_sys::BackgroundWorkerUnblockSignals();
    }
    memory::keep_freed_memory();
    // The leader may have gone already, and the segment with it.
    let Some(shared) = SharedMemory::attach(argument.segment) else { return };
    if argument.number == 0 {
        record_failure(&shared);
        return;
    }
    let worker = Worker::new(&shared, argument.number);
    worker.end(serve(&shared, &worker));
}

fn serve(shared: &SharedMemory, worker: &Worker<'_>) -> Result<(), Failure> {
    match shared.call()?.as_str() {
        pull::CALL => pull::work(worker, worker.request()?),
        HeraldRequest::CALL => pull::announce(worker, &worker.request()?),
        VerifyRequest::CALL => verify::work(worker, &worker.request()?),
        DedupRequest::CALL => maintenance::work::<DedupRequest>(worker, &worker.request()?),
        ReplayRequest::CALL => maintenance::work::<ReplayRequest>(worker, &worker.request()?),
        call => Err(Failure::internal(format!("no worker serves the call {call}"))),
    }
}

/// Only a pull has a run to write the end of.
fn record_failure(shared: &SharedMemory) {
    let Ok(call) = shared.call() else { return };
    let run = if call == pull::CALL {
        shared.request().map(|request: PullRequest| (request.caller, request.run_id))
    } else if call == HeraldRequest::CALL {
        shared.request().map(|request: HeraldRequest| (request.caller, request.run_id))
    } else {
        return;
    };
    if let Ok((caller, run_id)) = run {
        pull::record_failure(&caller, run_id, &shared.slot(0).failure());
    }
}
