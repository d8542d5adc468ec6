//! Rows that are in no slice: those without a timestamp, and those at the ends of time.

use super::connect::Session;
use super::describe::Table;
use super::error::{SourceError, Trouble};
use super::estimate::would_take_long;
use super::grants::with_grants;
use super::sql::quote_identifier;
use std::fmt;

/// No more than this are counted.
const MOST: i64 = 10_000;
const ACTION: &str = "look for rows without a finite timestamp";

/// What the table has of such rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    table: String,
    /// `None` where nobody looked: that would take the source long.
    counts: Option<Counts>,
}

/// Each up to one more than [`MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    without: i64,
    past: i64,
    future: i64,
}

impl Outside {
    /// Whether such rows were seen; else nobody looked.
    pub fn is_counted(&self) -> bool {
        self.counts.is_some()
    }

    /// Asks `table`, where a part of it can hold such rows; `None` where it has none. By the table's own
    /// name: the user need not be allowed to read its partitions.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn ask(session: &mut Session, table: &Table) -> Result<Option<Outside>, SourceError> {
        if !table.has_unbounded_parts() {
            return Ok(None);
        }
        let outside = |counts| Some(Outside { table: table.sql_name.clone(), counts });
        let column = quote_identifier(&table.names.timestamp);
        let rows = |condition: &str| {
            let name = &table.sql_name;
            format!("select from {name} where {column} {condition} limit {}", MOST + 1)
        };
        let queries = [rows("is null"), rows("= '-infinity'"), rows("= 'infinity'")];
        let takes_long = would_take_long(session, &queries)
            .map_err(|error| with_grants(error, session, &table.sql_name))?;
        if takes_long {
            return Ok(outside(None));
        }
        let counts = queries.map(|query| format!("(select count(*) from ({query}) as few)"));
        let sql = format!("select {}", counts.join(", "));
        let failed = |e| SourceError::from_client(ACTION, &e);
        let row = match session.one(ACTION, &sql) {
            Err(error) if error.trouble == Trouble::StatementTimeout => return Ok(outside(None)),
            answer => answer?,
        };
        let number = |n: usize| row.try_get::<_, i64>(n).map_err(failed);
        let counts = Counts { without: number(0)?, past: number(1)?, future: number(2)? };
        let none = Counts { without: 0, past: 0, future: 0 };
        Ok(if counts == none { None } else { outside(Some(counts)) })
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(counts) = self.counts else {
            return write!(
                f,
                "{} may hold rows without a timestamp, or at 'infinity': to look for them would take the source long; they would be in no slice, and neither pulled nor verified",
                self.table
            );
        };
        let kinds = [
            (counts.without, "without a timestamp"),
            (counts.past, "at '-infinity'"),
            (counts.future, "at 'infinity'"),
        ];
        let said = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, what)| match *count {
            1 => format!("1 row {what}"),
            MOST.. => format!("more than {MOST} rows {what}"),
            count => format!("{count} rows {what}"),
        });
        write!(
            f,
            "{} holds {}, which are in no slice: they are neither pulled nor verified",
            self.table,
            said.collect::<Vec<_>>().join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_there() {
        let outside = |counts| Outside { table: "acid.t".into(), counts }.to_string();
        let text = outside(Some(Counts { without: 3, past: 0, future: 1 }));
        assert!(text.contains("3 rows without a timestamp, 1 row at 'infinity', which"), "{text}");
        let text = outside(Some(Counts { without: MOST + 1, past: 0, future: 0 }));
        assert!(text.contains("more than 10000 rows without"), "{text}");
        assert!(outside(None).contains("would take the source long"));
    }
}
