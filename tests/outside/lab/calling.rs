//! A call of a function that returns a count and works in committed steps: `dedup`, `replay`.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::{Client, Error};

use super::{Lab, await_that, refusal, whole_text};

const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A call that runs in a thread of its own, to be disturbed.
pub struct Calling {
    /// The backend that makes the call.
    pub leader: i32,
    ended: JoinHandle<Result<i64, Error>>,
}

impl Calling {
    /// Starts `call`, without `select`, in this session.
    pub fn by(mut session: Client, call: &str) -> Calling {
        let leader = session.query_one("select pg_backend_pid()", &[]).expect("a pid").get(0);
        let call = call.to_owned();
        Calling { leader, ended: thread::spawn(move || try_call(&mut session, &call)) }
    }

    /// What the call returned; panics if it does not return.
    pub fn result(self) -> Result<i64, Error> {
        await_that("the call returns", ENDS_WITHIN, || self.ended.is_finished());
        self.ended.join().expect("the thread of the call")
    }
}

/// Makes the call.
pub fn try_call(client: &mut Client, call: &str) -> Result<i64, Error> {
    client.query_one(&format!("select {call}"), &[]).map(|row| row.get(0))
}

impl Lab {
    pub fn await_a_worker_that_waits_for_a_lock(&self) {
        await_that("the worker waits for a lock", ENDS_WITHIN, || {
            self.stage_value(
                "select count(*) from pg_locks l join pg_stat_activity a using (pid)
                 where not l.granted and a.backend_type = 'lrs_extract worker'
                   and a.datname = current_database()",
            ) != "0"
        });
    }

    /// `call` is refused because the backend `holder` works on the pipeline; `said` is in the words.
    pub fn assert_refused_beside(&self, call: &str, holder: i32, said: &str) {
        let refused = refusal(self.stage().query(&format!("select {call}"), &[]));
        let words = whole_text(&refused);
        assert_eq!(refused.code().code(), "55006", "{words}");
        assert!(refused.message().contains(&format!("pid {holder}")), "pid {holder} in {words}");
        assert!(words.contains(said), "{said:?} in {words}");
        assert!(refused.hint().is_some_and(|h| h.contains(&holder.to_string())), "{words}");
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
