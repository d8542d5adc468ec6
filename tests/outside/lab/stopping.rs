//! Calls that commit step after step in a worker of their own, ended midway in every way.

use std::time::{Duration, Instant};

use super::{Calling, Lab, RawClient, await_that, refusal, try_call, whole_text};
use crate::blows::{Victim, a_worker};

/// From the caller's end to the worker's.
const STOPS_WITHIN: Duration = Duration::from_millis(1_500);
const STEPS_WITHIN: Duration = Duration::from_secs(60);

/// Such a call, and a lab that gives it something to do.
pub struct Stepwise {
    pub lab: Lab,
    /// The name of the SQL function.
    pub name: &'static str,
    pub call: &'static str,
    /// What becomes less with each step that is committed.
    pub left: fn(&Lab) -> i64,
}

impl Stepwise {
    /// Starts the call as a superuser; returns at once.
    pub fn start(&self) -> Calling {
        Calling::by(self.lab.stage(), self.call)
    }

    /// Starts the call on slowed steps and returns when it has committed one.
    pub fn start_and_await_a_step(&self) -> Calling {
        let before = (self.left)(&self.lab);
        let running = self.start();
        self.await_a_step(before);
        running
    }

    fn await_a_step(&self, before: i64) {
        await_that("a step is committed", STEPS_WITHIN, || (self.left)(&self.lab) < before);
    }

    /// Kills each victim once, each time a step is committed; `check` looks at what is left.
    pub fn kill_all(&self, check: impl Fn(&Lab)) {
        for victim in Victim::ALL {
            let running = self.start_and_await_a_step();
            victim.kill(&self.lab, running.leader);
            assert!(
                running.result().is_err(),
                "{victim:?} killed: the call should end with an error"
            );
            self.lab.assert_nothing_left_running();
            check(&self.lab);
        }
    }

    /// Cancels the call after a step; when that was asked for.
    pub fn cancel(&self) {
        let running = self.start_and_await_a_step();
        let ended = Instant::now();
        self.lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
        assert_eq!(refusal(running.result()).code().code(), "57014");
        self.assert_stopped(ended);
    }

    /// Terminates the caller after a step.
    pub fn terminate_caller(&self) {
        let running = self.start_and_await_a_step();
        let ended = Instant::now();
        self.lab.on_stage(&format!("select pg_terminate_backend({})", running.leader));
        assert!(running.result().is_err());
        self.assert_stopped(ended);
    }

    /// Terminates the worker after a step; the call ends in words.
    pub fn terminate_worker(&self) {
        let running = self.start_and_await_a_step();
        let ended = Instant::now();
        self.lab.on_stage(&format!("select pg_terminate_backend({})", a_worker(&self.lab)));
        let refused = refusal(running.result());
        assert_eq!(refused.code().code(), "57P01", "{}", whole_text(&refused));
        let hint = refused.hint().unwrap_or_default();
        assert!(hint.contains("The same call"), "{}", whole_text(&refused));
        self.assert_stopped(ended);
    }

    /// Lets a statement_timeout end the call after a step.
    pub fn time_out(&self) {
        let mut session = self.lab.stage();
        session.batch_execute("set statement_timeout = '3500 ms'").expect("set");
        assert_eq!(refusal(try_call(&mut session, self.call)).code().code(), "57014");
        self.assert_stopped(Instant::now());
    }

    /// Has the client vanish after a step.
    pub fn lose_the_client(&self) {
        let before = (self.left)(&self.lab);
        let mut client = RawClient::connect(&self.lab);
        client.send(&format!("select {}", self.call));
        self.await_a_step(before);
        let ended = Instant::now();
        drop(client);
        self.assert_stopped(ended);
    }

    /// Cancels the call while its worker waits for a lock on the target.
    pub fn cancel_while_it_waits_for_a_lock(&self) {
        let mut blocker = self.lab.stage();
        blocker.batch_execute("begin; lock table pipeline.aidt_raw").expect("a lock");
        let running = self.start();
        self.lab.await_a_worker_that_waits_for_a_lock();
        let ended = Instant::now();
        self.lab.on_stage(&format!("select pg_cancel_backend({})", running.leader));
        assert_eq!(refusal(running.result()).code().code(), "57014");
        self.assert_stopped(ended);
    }

    /// Makes the call in a transaction that itself has the lock that the worker needs.
    pub fn assert_own_lock_is_told_at_once(&self) {
        let mut session = self.lab.stage();
        session.batch_execute("begin; lock table pipeline.aidt_raw").expect("a lock");
        let began = Instant::now();
        let refused = refusal(Calling::by(session, self.call).result());
        assert!(began.elapsed() < Duration::from_secs(15), "only after {:?}", began.elapsed());
        assert_eq!(refused.code().code(), "40P01", "{}", whole_text(&refused));
        assert!(refused.hint().is_some_and(|h| h.contains(self.name)), "{}", whole_text(&refused));
        self.lab.assert_nothing_left_running();
    }

    /// The worker is gone soon after `ended`.
    pub fn assert_stopped(&self, ended: Instant) {
        self.lab.assert_nothing_left_running();
        assert!(ended.elapsed() < STOPS_WITHIN, "stopped only after {:?}", ended.elapsed());
    }
}
