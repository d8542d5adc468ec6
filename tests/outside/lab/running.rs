//! A pull that runs in a thread of its own, to be disturbed.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::{Client, Error};

use super::{Lab, Pull, Pulled, await_that};

const ENDS_WITHIN: Duration = Duration::from_secs(60);

pub struct Running {
    /// The backend that leads the run.
    pub leader: i32,
    ended: JoinHandle<Result<Pulled, Error>>,
}

impl Lab {
    /// Starts `pull` as a superuser; returns at once.
    pub fn start(&self, pull: &Pull) -> Running {
        Running::by(self.stage(), pull)
    }

    /// Starts `pull` on a slowed target and returns when it has committed a batch.
    pub fn start_and_await_a_batch(&self, pull: &Pull) -> Running {
        let before = self.committed_batches();
        let running = self.start(pull);
        await_that("a batch is committed", Duration::from_secs(30), || {
            assert!(!running.has_ended(), "the run ended too soon: {:?}", self.last_run());
            self.committed_batches() > before
        });
        running
    }

    fn last_run(&self) -> String {
        self.stage_value("select r::text from lrs_extract.run r order by run_id desc limit 1")
    }
}

impl Running {
    /// Starts `pull` in this session.
    pub fn by(mut session: Client, pull: &Pull) -> Running {
        let pid = session.query_one("select pg_backend_pid()", &[]).expect("a pid").get(0);
        let pull = pull.clone();
        Running { leader: pid, ended: thread::spawn(move || pull.try_run(&mut session)) }
    }

    pub fn has_ended(&self) -> bool {
        self.ended.is_finished()
    }

    /// What the call returned; panics if it does not return.
    pub fn result(self) -> Result<Pulled, Error> {
        await_that("the call returns", ENDS_WITHIN, || self.has_ended());
        self.ended.join().expect("the thread of the call")
    }

    /// What the call returned; panics if it was refused or does not return.
    pub fn pulled(self) -> Pulled {
        self.result().unwrap_or_else(|error| panic!("the run should survive: {error:?}"))
    }
}
