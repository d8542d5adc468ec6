//! What the source table is filled with.

use postgres::Client;

use super::Lab;

/// Statements spread evenly over [from, to), in groups that share one timestamp.
#[derive(Clone, Debug)]
pub struct Rows {
    pub count: i64,
    pub ties: i64,
    pub actors_per_tie: i64,
    pub nulls_every: i64,
    pub odd_ids_every: i64,
    pub from: String,
    pub to: String,
}

impl Rows {
    /// `count` statements from March to July 2025, each with a timestamp and an actor.
    pub fn of(count: i64) -> Self {
        Self {
            count,
            ties: 1,
            actors_per_tie: 1,
            nulls_every: 0,
            odd_ids_every: 0,
            from: "2025-03-01".to_owned(),
            to: "2025-08-01".to_owned(),
        }
    }

    /// So many rows share a timestamp.
    pub fn ties(mut self, rows: i64) -> Self {
        self.ties = rows;
        self
    }

    /// So many different actors within one timestamp; 1 makes ties of whole keys.
    pub fn actors_per_tie(mut self, actors: i64) -> Self {
        self.actors_per_tie = actors;
        self
    }

    /// Every n-th row has no actor.
    pub fn nulls_every(mut self, rows: i64) -> Self {
        self.nulls_every = rows;
        self
    }

    /// Every n-th statement has an id that is no uuid.
    pub fn odd_ids_every(mut self, rows: i64) -> Self {
        self.odd_ids_every = rows;
        self
    }

    pub fn between(mut self, from: &str, to: &str) -> Self {
        self.from = from.to_owned();
        self.to = to.to_owned();
        self
    }

    /// Adds these rows to `acid.lrs_statement_new`.
    pub fn fill(&self, source: &mut Client) {
        let sql = format!(
            "select acid.fill({}, {}, {}, {}, {}, '{}', '{}')",
            self.count,
            self.ties,
            self.actors_per_tie,
            self.nulls_every,
            self.odd_ids_every,
            self.from,
            self.to
        );
        source.batch_execute(&sql).expect("the source is filled");
        source.batch_execute("analyze acid.lrs_statement_new").expect("analyze");
    }
}

impl Lab {
    /// 120 statements, the n-th some n times half a kilobyte, which compress well.
    pub fn of_growing_statements() -> Lab {
        let lab = Lab::with(&Rows::of(0));
        lab.on_source(
            "insert into acid.lrs_statement_new
             select '2025-04-01 00:00+00'::timestamptz + n * interval '1 minute',
                    acid.statement(n, false) || jsonb_build_object('text', repeat('answer ' || n % 7 || ' ', 60 * n)), n
             from generate_series(1, 120) n",
        );
        lab
    }
}
