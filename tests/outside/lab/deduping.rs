//! A call of `lrs_extract.dedup`, and targets that give it something to do.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::{Client, Error};

use super::{Lab, Rows, await_that};

const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A call for all that a target has by default.
pub const DEDUP: &str = "lrs_extract.dedup('2025-03-01', '2025-08-01')";

/// Makes the call and expects an answer: how many rows went.
pub fn dedup(client: &mut Client) -> i64 {
    try_dedup(client).unwrap_or_else(|error| panic!("dedup should not be refused: {error:?}"))
}

pub fn try_dedup(client: &mut Client) -> Result<i64, Error> {
    client.query_one(&format!("select {DEDUP}"), &[]).map(|row| row.get(0))
}

/// A call that runs in a thread of its own, to be disturbed.
pub struct Deduping {
    /// The backend that makes the call.
    pub leader: i32,
    ended: JoinHandle<Result<i64, Error>>,
}

impl Deduping {
    /// Starts the call in this session.
    pub fn by(mut session: Client) -> Deduping {
        let leader = session.query_one("select pg_backend_pid()", &[]).expect("a pid").get(0);
        Deduping { leader, ended: thread::spawn(move || try_dedup(&mut session)) }
    }

    /// What the call returned; panics if it does not return.
    pub fn result(self) -> Result<i64, Error> {
        await_that("the call returns", ENDS_WITHIN, || self.ended.is_finished());
        self.ended.join().expect("the thread of the call")
    }
}

impl Lab {
    /// No source rows, and so many ids in the target, each in two rows of one timestamp: first all
    /// with the flag 1, then all with the flag 2.
    pub fn of_pairs(ids: i64) -> Lab {
        Lab::with(&Rows::of(0)).and_pairs(ids)
    }

    /// Adds such rows.
    pub fn and_pairs(self, ids: i64) -> Lab {
        self.on_stage(&format!(
            "insert into pipeline.aidt_raw (id, \"timestamp\", flag)
             select md5('row ' || n)::uuid, '2025-04-01 00:00+00'::timestamptz + n * interval '1 second', copy
             from unnest(array['1', '2']) copy, generate_series(1, {ids}) n order by copy, n"
        ));
        self
    }

    /// Makes each step take at least so long.
    pub fn slow_steps(&self, milliseconds: u32) {
        self.on_stage(&format!(
            "create function pipeline.linger() returns trigger language plpgsql as
                 'begin perform pg_sleep({milliseconds} / 1000.0); return null; end';
             create trigger linger after delete on pipeline.aidt_raw
                 for each statement execute function pipeline.linger()"
        ));
    }

    /// Starts the call as a superuser; returns at once.
    pub fn start_dedup(&self) -> Deduping {
        Deduping::by(self.stage())
    }

    /// Starts the call on slowed steps and returns when it has committed one.
    pub fn start_dedup_and_await_a_step(&self) -> Deduping {
        let before = self.target_rows();
        let running = self.start_dedup();
        await_that("a step is committed", ENDS_WITHIN, || self.target_rows() < before);
        running
    }

    pub fn await_a_worker_that_waits_for_a_lock(&self) {
        await_that("the worker waits for a lock", ENDS_WITHIN, || {
            self.stage_value(
                "select count(*) from pg_locks l join pg_stat_activity a using (pid)
                 where not l.granted and a.backend_type = 'lrs_extract worker'
                   and a.datname = current_database()",
            ) != "0"
        });
    }

    pub fn assert_each_id_once(&self) {
        let rows = "select count(*) - count(distinct id) from pipeline.aidt_raw";
        assert_eq!(self.stage_value(rows), "0", "more rows than ids");
    }

    /// A session of a role that may call everything and has these privileges on the target.
    pub fn clerk(&self, privileges: &str) -> Client {
        let role = format!("{}_clerk", self.db);
        self.on_stage(&format!(
            "create role {role} login password 'x'; grant usage on schema lrs_extract, pipeline to {role};
             grant execute on all functions in schema lrs_extract to {role};
             grant {privileges} on pipeline.aidt_raw to {role}"
        ));
        self.stage_as(&role, "x")
    }
}
