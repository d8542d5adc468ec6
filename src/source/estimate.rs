//! The source's own estimates of a slice, from EXPLAIN: nothing is counted.

use super::connect::Session;
use super::describe::WalkTable;
use super::error::SourceError;
use super::grants::with_grants;
use super::keyset::{Cursor, range_condition};
use super::sql::Literals;
use crate::slice::Interval;
use postgres::SimpleQueryMessage;
use serde_json::Value;

/// What the source's planner thinks of an interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    pub rows: i64,
    /// Rows × the planner's average width; compressed and out-of-line values make the wire larger.
    pub bytes: i64,
    /// How a page would be read, from the top of the plan down: "Limit, Index Scan using …".
    pub access_path: String,
    pub index: KeyIndex,
}

/// What the source's indexes do for a walk in the order of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyIndex {
    /// One gives rows in that order.
    #[default]
    Whole,
    /// One gives them in the order of timestamps; a page sorts those that share one.
    TimestampAlone,
    /// A page would sort or read everything.
    Missing,
}

impl KeyIndex {
    /// What a walk by key lacks, in words.
    pub fn lacking(self) -> Option<&'static str> {
        match self {
            KeyIndex::Missing => {
                Some("no index serves the walk: each page sorts or reads everything")
            }
            KeyIndex::TimestampAlone => Some(
                "no index has both columns of the key: where many rows share a timestamp, all of them are read and sorted for each page of them",
            ),
            KeyIndex::Whole => None,
        }
    }
}

/// A page of this many rows stands for a walk where its access path alone is asked for.
pub const TYPICAL_PAGE: u64 = 50_000;

const ACTION: &str = "estimate a slice by EXPLAIN";

/// Statements that are sent at a time, so that a survey over a long link is not one of round trips.
const AT_ONCE: usize = 64;

/// Asks the source to plan each interval as a whole (for rows and bytes) and, where `page` says how
/// many rows one has, its first page (for the access path).
///
/// # Errors
/// [`SourceError`] as the source reports it.
pub fn estimates(
    session: &mut Session,
    table: &WalkTable,
    intervals: &[Interval],
    page: Option<u64>,
) -> Result<Vec<Estimate>, SourceError> {
    ask(session, table, intervals, page)
        .map_err(|error| with_grants(error, session, &table.sql_name))
}

fn ask(
    session: &mut Session,
    table: &WalkTable,
    intervals: &[Interval],
    page: Option<u64>,
) -> Result<Vec<Estimate>, SourceError> {
    let a_slice = if page.is_some() { 2 } else { 1 };
    let mut estimates = Vec::with_capacity(intervals.len());
    for some in intervals.chunks(AT_ONCE / 2) {
        let queries: Vec<_> = some.iter().flat_map(|i| queries(table, i, page)).collect();
        let plans = explain(session, &queries)?;
        if estimates.is_empty() && plans.iter().any(has_window) {
            check_keys(session, table)?;
        }
        estimates.extend(plans.chunks(a_slice).map(estimate));
    }
    Ok(estimates)
}

/// The query of an interval, and that of its first page.
fn queries(
    table: &WalkTable,
    interval: &Interval,
    page: Option<u64>,
) -> impl Iterator<Item = String> {
    let whole = format!(
        "select {} from {} where {}",
        table.select_list(),
        table.sql_name,
        range_condition(table, interval, &mut Literals),
    );
    let first = page.map(|rows| Cursor::new(*interval).first_page(table, rows));
    std::iter::once(whole).chain(first)
}

fn has_window(plan: &Value) -> bool {
    let mut nodes = Vec::new();
    describe_plan(plan, &mut nodes);
    nodes.iter().any(|node| node.starts_with("WindowAgg"))
}

/// Checks that no window function makes what is read, where one is there: a page is a part of the rows,
/// which would number them anew. One that the planner keeps where no column is read serves a filter.
fn check_keys(session: &mut Session, table: &WalkTable) -> Result<(), SourceError> {
    let without_columns = format!("select from {}", table.sql_name);
    if explain(session, &[without_columns])?.iter().any(has_window) {
        return Ok(());
    }
    Err(SourceError::permanent(
        "walk the source by its key",
        "0A000",
        format!("a window function makes columns of {} that the pull reads", table.sql_name),
    )
    .with_detail("Its values depend on which other rows are there, so they are no key, and change from page to page.")
    .with_hint("Name a table, or a view whose columns depend on their own row alone."))
}

/// From the plan of an interval, and that of its first page.
fn estimate(plans: &[Value]) -> Estimate {
    let number = |key: &str| plans[0].get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let rows = number("Plan Rows");
    let mut nodes = Vec::new();
    plans[1..].iter().for_each(|plan| describe_plan(plan, &mut nodes));
    Estimate {
        rows: rows as i64,
        bytes: (rows * number("Plan Width")) as i64,
        index: index(&nodes),
        access_path: nodes.join(", "),
    }
}

/// By the nodes of a page's plan.
fn index(nodes: &[String]) -> KeyIndex {
    let has = |kind: &str| nodes.iter().any(|node| node.starts_with(kind));
    if has("Sort") || has("Seq Scan") {
        KeyIndex::Missing
    } else if has("Incremental Sort") {
        KeyIndex::TimestampAlone
    } else {
        KeyIndex::Whole
    }
}

/// The plan of each query, in one round trip.
fn explain(session: &mut Session, queries: &[String]) -> Result<Vec<Value>, SourceError> {
    let sql: Vec<_> =
        queries.iter().map(|query| format!("explain (format json, costs on) {query}")).collect();
    let answer =
        session.simple_query(&sql.join(";\n")).map_err(|e| SourceError::from_client(ACTION, &e))?;
    let plans = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plans: Option<Vec<Value>> = plans
        .map(|text| {
            Some(serde_json::from_str::<Value>(text).ok()?.get_mut(0)?.get_mut("Plan")?.take())
        })
        .collect();
    plans
        .filter(|plans| plans.len() == queries.len())
        .ok_or_else(|| SourceError::permanent(ACTION, "XX000", "EXPLAIN gave no plan"))
}

/// Whether one of the queries would take the source long.
///
/// # Errors
/// [`SourceError`] as the source reports it.
pub(super) fn would_take_long(
    session: &mut Session,
    queries: &[String],
) -> Result<bool, SourceError> {
    /// What the planner takes a second of reading for, roughly.
    const MUCH: f64 = 10_000.0;
    let plans = explain(session, queries)?;
    let cost = |plan: &Value| plan.get("Total Cost").and_then(Value::as_f64).unwrap_or(0.0);
    Ok(plans.iter().any(|plan| cost(plan) > MUCH))
}

/// Names the nodes from the top down, each kind once: a plan of sixty partitions stays readable.
fn describe_plan(plan: &Value, nodes: &mut Vec<String>) {
    let text = |key: &str| plan.get(key).and_then(Value::as_str);
    if let Some(kind) = text("Node Type") {
        let name = match text("Index Name").or_else(|| text("Relation Name")) {
            Some(on) if kind.starts_with("Index") => format!("{kind} using {on}"),
            Some(on) => format!("{kind} on {on}"),
            None => kind.to_owned(),
        };
        // "Limit" tops every page.
        if kind != "Limit" && !nodes.contains(&name) {
            nodes.push(name);
        }
    }
    for child in plan.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        describe_plan(child, nodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sort_tells_what_the_index_lacks() {
        let index =
            |nodes: &[&str]| index(&nodes.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(index(&["Index Scan using a"]), KeyIndex::Whole);
        assert_eq!(index(&["Incremental Sort", "Index Scan using a"]), KeyIndex::TimestampAlone);
        assert_eq!(index(&["Sort", "Seq Scan on b"]), KeyIndex::Missing);
        assert_eq!(index(&["Append", "Incremental Sort", "Seq Scan on b"]), KeyIndex::Missing);
    }

    #[test]
    fn a_plan_reads_from_the_top_down() {
        let plan = json!({"Node Type": "Limit", "Plans": [{"Node Type": "Merge Append", "Plans": [
            {"Node Type": "Index Scan", "Index Name": "a_idx", "Relation Name": "a"},
            {"Node Type": "Seq Scan", "Relation Name": "b"}]}]});
        let mut nodes = Vec::new();
        describe_plan(&plan, &mut nodes);
        assert_eq!(nodes, ["Merge Append", "Index Scan using a_idx", "Seq Scan on b"]);
    }
}
