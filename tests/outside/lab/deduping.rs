//! A call of `lrs_extract.dedup`, and targets that give it something to do.

use postgres::{Client, Error};

use super::{Calling, Lab, Rows, Stepwise, try_call};

/// A call for all that a target has by default.
pub const DEDUP: &str = "lrs_extract.dedup('2025-03-01', '2025-08-01')";

/// Makes the call and expects an answer: how many rows went.
pub fn dedup(client: &mut Client) -> i64 {
    try_dedup(client).unwrap_or_else(|error| panic!("dedup should not be refused: {error:?}"))
}

pub fn try_dedup(client: &mut Client) -> Result<i64, Error> {
    try_call(client, DEDUP)
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
    pub fn start_dedup(&self) -> Calling {
        Calling::by(self.stage(), DEDUP)
    }

    /// The call as one that is ended midway.
    pub fn stepwise_dedup(self) -> Stepwise {
        Stepwise { lab: self, name: "dedup", call: DEDUP, left: Lab::target_rows }
    }

    pub fn assert_each_id_once(&self) {
        let rows = "select count(*) - count(distinct id) from pipeline.aidt_raw";
        assert_eq!(self.stage_value(rows), "0", "more rows than ids");
    }

    pub fn assert_ids(&self, ids: i64) {
        let distinct = self.stage_value("select count(distinct id) from pipeline.aidt_raw");
        assert_eq!(distinct, ids.to_string(), "no id has gone");
    }
}
