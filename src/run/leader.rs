//! The leader: the caller's backend, which has workers pull and tells their batches.

#![allow(unsafe_code)]

use super::crew::{Crew, Standing, no_slot};
use super::progress::Progress;
use super::report::BatchReport;
use super::request::Request;
use super::task::Task;
use crate::backend::{client, latch};
use crate::error::{Failure, notice};
use crate::pg_compat;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the leader sleeps when no worker wakes it.
pub const NAP: Duration = Duration::from_millis(100);
/// After so long without a batch, the leader asks whether a worker waits for its own locks.
pub const SUSPICION: Duration = Duration::from_millis(700);

/// A run as the leader sees it: an iterator over committed batches.
pub struct Leader {
    crew: *mut Crew,
    request: Arc<Request>,
    queue: VecDeque<BatchReport>,
    progress: Progress,
    last_sign: Instant,
    finished: bool,
}

impl Leader {
    /// Starts the run. `crew` is empty, and lives in the memory context of the call.
    ///
    /// # Errors
    /// 53400 when there is no free worker slot.
    pub fn start(crew: *mut Crew, request: Arc<Request>) -> Result<Leader, Failure> {
        let jobs = u16::try_from(request.jobs.min(request.slices.len() as i32)).unwrap_or(1).max(1);
        let progress = Progress::new(&request);
        let leader = Leader {
            crew,
            request: request.clone(),
            queue: VecDeque::new(),
            progress,
            last_sign: Instant::now(),
            finished: request.slices.is_empty(),
        };
        if leader.finished {
            return Ok(leader);
        }
        // SAFETY: the crew outlives this call; nobody else has a reference to it.
        let crew = unsafe { &mut *crew };
        crew.brief(&Task::Pull(Cow::Borrowed(&request)), jobs)?;
        for number in 1..=jobs {
            if crew.hire(number) {
                continue;
            }
            if number == 1 {
                return Err(no_slot(
                    "Raise max_worker_processes and restart, or call pull with commit => 'caller', which needs no worker.",
                ));
            }
            notice(&format!(
                "only {} of {jobs} workers could start; the run goes on with them. Raise max_worker_processes for more.",
                number - 1
            ));
            crew.do_without(number, jobs);
            break;
        }
        Ok(leader)
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    fn crew(&mut self) -> &mut Crew {
        // SAFETY: the crew was registered in the memory context before this leader, so it is
        // dropped after it; only the leader refers to it.
        unsafe { &mut *self.crew }
    }

    /// Waits for the next committed batch; `None` at the end of the run.
    ///
    /// # Errors
    /// What ended the run before its end. The workers are stopped by then.
    pub fn next_batch(&mut self) -> Result<Option<BatchReport>, Failure> {
        loop {
            // First what the workers have come to, then what they said before.
            let standing = self.crew().standing();
            self.collect();
            if let Some(report) = self.queue.pop_front() {
                return Ok(Some(report));
            }
            if self.finished {
                return Ok(None);
            }
            match standing {
                Standing::Done => {
                    self.finished = true;
                    self.crew().dismiss();
                    continue;
                }
                Standing::Failed(failure) => return Err(self.fail(failure)),
                Standing::Died(n) => return Err(self.fail(died(n))),
                Standing::AtWork => {}
            }
            pg_compat::flush_to_client();
            let begun = Instant::now();
            latch::wait(None, NAP);
            self.crew().sample_locks(begun.elapsed());
            client::check_client();
            if self.last_sign.elapsed() > SUSPICION {
                self.last_sign = Instant::now();
                self.crew().check_locks(
                    "Commit before calling pull, or call it with commit => 'caller'.",
                )?;
            }
        }
    }

    fn collect(&mut self) {
        let (reports, notes) = self.crew().hear();
        for note in notes {
            notice(&note);
        }
        for report in reports {
            self.last_sign = Instant::now();
            if let Some(text) = self.progress.add(&report) {
                notice(&text);
            }
            if !report.is_empty() {
                self.queue.push_back(report);
            }
        }
    }

    /// Stops the others, and sees to it that the run's end is written.
    fn fail(&mut self, failure: Failure) -> Failure {
        let run_id = self.request.run_id;
        let crew = self.crew();
        let died_silently = crew.lost_one();
        crew.dismiss();
        if died_silently {
            crew.have_written(&failure);
        }
        let same_call = match self.request.again {
            true => "The same call without again => true",
            false => "The same call",
        };
        let hint = failure.hint.clone().unwrap_or_else(|| {
            format!("What was committed stays. {same_call} goes on from there; see lrs_extract.runs, run {run_id}.")
        });
        failure.with_hint(hint)
    }
}

fn died(n: usize) -> Failure {
    Failure::new("57P01", format!("worker {} of the run was terminated", n + 1))
        .with_detail("Its last batch was rolled back; what was committed before stays.")
}
