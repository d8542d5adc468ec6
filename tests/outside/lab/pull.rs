//! A call of `lrs_extract.pull`, as a builder, and what it returned.

use postgres::{Client, Error, Row};

/// One call of `lrs_extract.pull`.
#[derive(Clone, Debug)]
pub struct Pull {
    from: String,
    to: String,
    batch: i64,
    jobs: i64,
    commit: &'static str,
    again: bool,
}

/// The sums over the batches that a call returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pulled {
    pub batches: i64,
    pub rows: i64,
    pub rejected: i64,
}

impl Pull {
    pub fn period(from: &str, to: &str) -> Self {
        Self::expressions(format!("'{from}'"), format!("'{to}'"))
    }

    /// A period that is as far from the stage's clock as these intervals say.
    pub fn around_now(from: &str, to: &str) -> Self {
        Self::expressions(format!("now() + interval '{from}'"), format!("now() + interval '{to}'"))
    }

    fn expressions(from: String, to: String) -> Self {
        Self { from, to, batch: 50_000, jobs: 2, commit: "batch", again: false }
    }

    /// March to July 2025: all that a source has by default.
    pub fn everything() -> Self {
        Self::period("2025-03-01", "2025-08-01")
    }

    pub fn batch(mut self, rows: i64) -> Self {
        self.batch = rows;
        self
    }

    pub fn jobs(mut self, jobs: i64) -> Self {
        self.jobs = jobs;
        self
    }

    pub fn commit(mut self, boundary: &'static str) -> Self {
        self.commit = boundary;
        self
    }

    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// The bare call: `lrs_extract.pull(…)`.
    pub fn call(&self) -> String {
        format!(
            "lrs_extract.pull({}, {}, {}, 'aidt', {}, '{}', {})",
            self.from, self.to, self.batch, self.jobs, self.commit, self.again
        )
    }

    /// Runs the call to its end.
    pub fn try_run(&self, stage: &mut Client) -> Result<Pulled, Error> {
        let rows = stage.query(&format!("select rows, rejected from {}", self.call()), &[])?;
        Ok(sums(&rows))
    }

    /// Runs the call to its end; a refusal fails the test with all its words.
    pub fn run(&self, stage: &mut Client) -> Pulled {
        self.try_run(stage).unwrap_or_else(|error| match error.as_db_error() {
            Some(refusal) => panic!("{self:?}\n{}", super::whole_text(refusal)),
            None => panic!("{self:?}\n{error}"),
        })
    }
}

fn sums(rows: &[Row]) -> Pulled {
    rows.iter().fold(Pulled::default(), |sum, row| Pulled {
        batches: sum.batches + 1,
        rows: sum.rows + number(row, 0),
        rejected: sum.rejected + number(row, 1),
    })
}

/// A count, whichever integer type it has.
fn number(row: &Row, column: usize) -> i64 {
    row.try_get::<_, i64>(column)
        .unwrap_or_else(|_| i64::from(row.try_get::<_, i32>(column).expect("a count")))
}
