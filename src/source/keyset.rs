//! The keyset walk: which query reads the next page, given where the walk stands.
//!
//! A page is closed on a key (`fetch first n rows with ties`), so the next begins strictly after
//! it. "Strictly after `(t, a)`" has two forms. The light one is a single index scan from `t` whose
//! filter drops what the walk has passed of `t`'s tie group; that re-reads the group from the heap,
//! so it is taken only while the group is small. The heavy one asks for the rest of the group by
//! exact index conditions, `= t and > a`, then `= t and is null`, and continues with `> t`.

use super::describe::WalkTable;
use super::sql::{Literals, Parameters, Values};
use crate::slice::{Edge, Interval, Key};
use chrono::{DateTime, Utc};

/// Where a walk stands inside its interval.
#[derive(Clone, Debug)]
pub struct Cursor {
    position: Edge,
    end: Edge,
    /// Rows of the position's timestamp known to lie before it; `None` after a resume.
    passed_ties: Option<u64>,
    /// In the heavy form: whether the group's actors are exhausted and its nulls come next.
    only_nulls_left: bool,
}

/// The next page: its query, and how to read its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub sql: String,
    pub parameters: Parameters,
    kind: PageKind,
    limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageKind {
    /// From the position to the end of the interval.
    Onward,
    /// The actors of the position's timestamp after the position's.
    TiedActors(DateTime<Utc>),
    /// The null actors of the position's timestamp.
    TiedNulls(DateTime<Utc>),
}

/// What a page turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSummary {
    pub rows: u64,
    /// The key of the last row.
    pub last: Option<Key>,
    /// How many rows at the page's end share the last row's timestamp.
    pub last_ties: u64,
}

/// Up to this share of a page may be read again for the sake of a single query.
const LIGHT_SHARE: u64 = 200;

impl Cursor {
    pub fn new(interval: Interval) -> Self {
        Cursor {
            position: interval.from,
            end: interval.to,
            passed_ties: None,
            only_nulls_left: false,
        }
    }

    /// The edge up to which everything has been read.
    pub fn position(&self) -> Edge {
        self.position
    }

    /// What is still to read.
    pub fn rest(&self) -> Interval {
        Interval::new(self.position, self.end)
    }

    pub fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// The query for at least `limit` more rows, or fewer where the page's range ends before.
    /// `batch` is the size of a full batch, by which a tie group counts as small or large.
    pub fn next_page(&self, table: &WalkTable, limit: u64, batch: u64) -> Page {
        if let Edge::After(timestamp, actor) = self.position
            && !self.is_light(batch)
        {
            return self.tied_page(table, timestamp, actor, limit);
        }
        let mut parameters = Parameters::default();
        let first = rows(&mut parameters, limit);
        let condition = range_condition(table, &self.rest(), &mut parameters);
        let sql = ordered(table, &condition, Some(&first));
        Page { sql, parameters, kind: PageKind::Onward, limit }
    }

    /// The query that a fresh walk over the interval begins with, for EXPLAIN.
    pub fn first_page(&self, table: &WalkTable, limit: u64) -> String {
        let first = rows(&mut Literals, limit);
        ordered(table, &range_condition(table, &self.rest(), &mut Literals), Some(&first))
    }

    fn is_light(&self, batch: u64) -> bool {
        self.passed_ties.is_some_and(|ties| ties <= 1 || ties.saturating_mul(LIGHT_SHARE) <= batch)
    }

    fn tied_page(
        &self,
        table: &WalkTable,
        timestamp: DateTime<Utc>,
        actor: i64,
        limit: u64,
    ) -> Page {
        let mut parameters = Parameters::default();
        if self.only_nulls_left {
            // One key: it cannot be divided, so it is read whole.
            let tie = format!("{} = {}", table.timestamp, parameters.timestamp(timestamp));
            let sql = ordered(table, &format!("{tie} and {} is null", table.actor), None);
            return Page { sql, parameters, kind: PageKind::TiedNulls(timestamp), limit };
        }
        let first = rows(&mut parameters, limit);
        let mut condition = format!(
            "{} = {} and {} > {}",
            table.timestamp,
            parameters.timestamp(timestamp),
            table.actor,
            parameters.integer(actor),
        );
        if let Edge::After(end, last) = self.end
            && end == timestamp
        {
            let last = parameters.integer(last);
            condition.push_str(&format!(" and {} <= {last}", table.actor));
        }
        let sql = ordered(table, &condition, Some(&first));
        Page { sql, parameters, kind: PageKind::TiedActors(timestamp), limit }
    }

    /// Moves the cursor to an edge up to which all has been read in another way.
    pub fn skip_to(&mut self, edge: Edge) {
        self.position = edge.min(self.end);
        self.passed_ties = None;
        self.only_nulls_left = false;
    }

    /// Moves the cursor past a page that has been read to its end.
    pub fn advance(&mut self, page: &Page, summary: &PageSummary) {
        let exhausted = summary.rows < page.limit;
        match page.kind {
            PageKind::Onward if exhausted => self.move_to(self.end, 0),
            PageKind::Onward => {
                if let Some(last) = summary.last {
                    self.move_to(Edge::after(last), summary.last_ties);
                }
            }
            PageKind::TiedActors(timestamp) => {
                if let Some(last) = summary.last {
                    self.position = Edge::after(last);
                }
                let group_ends_here = matches!(self.end, Edge::After(end, _) if end == timestamp);
                match (exhausted, group_ends_here) {
                    (true, true) => self.move_to(self.end, 0),
                    (true, false) => self.only_nulls_left = true,
                    // Known to be large, and growing.
                    (false, _) => self.passed_ties = self.passed_ties.map(|t| t + summary.rows),
                }
            }
            PageKind::TiedNulls(timestamp) => {
                self.move_to(Edge::after(Key { timestamp, actor: None }), 0);
            }
        }
    }

    /// `ties`: rows of the new position's timestamp read in the last page.
    fn move_to(&mut self, position: Edge, ties: u64) {
        let same_group = position.actor().is_some()
            && self.position.actor().is_some()
            && position.timestamp() == self.position.timestamp();
        self.passed_ties = match (same_group, self.passed_ties) {
            (true, Some(before)) => Some(before + ties),
            (true, None) => None,
            (false, _) => Some(ties),
        };
        self.position = position.min(self.end);
        self.only_nulls_left = false;
    }
}

/// A number of rows, as FETCH FIRST takes it.
fn rows(values: &mut impl Values, limit: u64) -> String {
    values.integer(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn ordered(table: &WalkTable, condition: &str, first: Option<&str>) -> String {
    let mut sql = format!(
        "select {} from {} where {condition}{}",
        table.select_list(),
        table.sql_name,
        table.only
    );
    if let Some(rows) = first {
        sql.push_str(&format!(
            " order by {}, {} fetch first ({rows}) rows with ties",
            table.timestamp, table.actor
        ));
    }
    sql
}

/// The condition for an interval's rows, in a form that one index scan serves and the planner can
/// prune partitions by.
pub fn range_condition(table: &WalkTable, interval: &Interval, values: &mut impl Values) -> String {
    let WalkTable { timestamp: t, actor: a, .. } = table;
    let mut condition = match interval.from {
        Edge::Before(from) => format!("{t} >= {}", values.timestamp(from)),
        Edge::After(from, actor) => {
            let (from, actor) = (values.timestamp(from), values.integer(actor));
            format!("{t} >= {from} and ({t} > {from} or {a} > {actor} or {a} is null)")
        }
    };
    condition.push_str(&match interval.to {
        Edge::Before(to) => format!(" and {t} < {}", values.timestamp(to)),
        Edge::After(to, actor) => {
            let (to, actor) = (values.timestamp(to), values.integer(actor));
            format!(" and {t} <= {to} and ({t} < {to} or {a} <= {actor})")
        }
    });
    condition
}

#[cfg(test)]
#[path = "keyset_tests.rs"]
mod tests;
