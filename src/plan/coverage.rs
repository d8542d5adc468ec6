//! What earlier runs pulled of a period, as far as it counts: it must have come from the table that the
//! call reads, and gone into the table that the call fills.

use crate::backend::time::Period;
use crate::error::Failure;
use crate::ledger::{self, Endpoints, Pipeline, Route, UnfinishedScan};
use crate::load::Target;
use crate::slice::Interval;
use pgrx::pg_sys;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The memory of a pipeline, for one period.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Each with the number of its run.
    pulled: Vec<(i64, Interval)>,
    routes: HashMap<i64, Route>,
    /// The scans that are continued.
    unfinished: Vec<UnfinishedScan>,
    /// Between which tables the call moves rows, in words.
    call: String,
}

impl Coverage {
    /// Reads what the ledger has of `period`; with `again`, the unfinished scans alone.
    ///
    /// # Errors
    /// 55000 where the heap of another source is half read into the same target; [`Failure`] when the
    /// ledger cannot be read.
    pub fn read(
        pipeline: &Pipeline,
        target: &Target,
        period: Period,
        again: bool,
    ) -> Result<Coverage, Failure> {
        let endpoints = endpoints(pipeline, target);
        let routes = ledger::routes(&pipeline.id, &endpoints)?;
        let mut unfinished = ledger::unfinished_scans(&pipeline.id, period)?;
        unfinished.retain(|scan| routes.get(&scan.run_id).is_none_or(|route| route.same_target));
        let pulled = if again { Vec::new() } else { ledger::covered(&pipeline.id, period)? };
        let call = format!(
            "from {} of server \"{}\" into {}",
            endpoints.source_table, endpoints.server, endpoints.target
        );
        let coverage = Coverage { pulled, routes, unfinished, call };
        coverage.check_unfinished(&pipeline.name)?;
        Ok(coverage)
    }

    /// A scan counts blocks of one table's file.
    fn check_unfinished(&self, pipeline: &str) -> Result<(), Failure> {
        for begun in &self.unfinished {
            let Some(route) = self.routes.get(&begun.run_id).filter(|r| !r.same_source_names)
            else {
                continue;
            };
            let interval = begun.scan.interval;
            return Err(begun
                .half_read()
                .with_detail(format!(
                    "That run moved rows {}; this one would move them {}.",
                    route.words, self.call
                ))
                .with_hint(format!(
                    "Finish it first, with the server and source_table that the pipeline had, or delete the rows of that period from the target and select lrs_extract.forget('{}', '{}', {});",
                    interval.from.timestamp(),
                    interval.to.timestamp(),
                    pgrx::spi::quote_literal(pipeline)
                )));
        }
        Ok(())
    }

    /// The scans of heaps that are continued.
    pub fn unfinished(&self) -> &[UnfinishedScan] {
        &self.unfinished
    }

    /// What is pulled, without the scans of heaps that are half done.
    pub fn without_unfinished(self) -> Coverage {
        Coverage { unfinished: Vec::new(), ..self }
    }

    /// What need not be pulled again from the source table of that identity.
    pub fn counting(&self, source_id: Option<&str>) -> Vec<Interval> {
        let counting = self.pulled.iter().filter(|(run, _)| self.counts(*run, source_id));
        let begun = self.unfinished.iter().map(|begun| begun.scan.interval);
        counting.map(|(_, interval)| *interval).chain(begun).collect()
    }

    fn counts(&self, run_id: i64, source_id: Option<&str>) -> bool {
        // A run that is not in the ledger any more takes its slices along.
        self.routes.get(&run_id).is_none_or(|route| route.counts(|id| source_id == Some(id)))
    }

    /// The runs that read another database of the same names, in words.
    pub fn moved(&self, source_id: Option<&str>) -> Option<String> {
        let moved: Vec<i64> = self
            .pulled
            .iter()
            .filter(|(run_id, _)| {
                self.counts(*run_id, source_id) && self.is_moved(*run_id, source_id)
            })
            .map(|(run_id, _)| *run_id)
            .collect();
        (!moved.is_empty()).then(|| {
            format!(
                "The source is another database than the one that {} read under the same names",
                numbers(moved)
            )
        })
    }

    fn is_moved(&self, run_id: i64, source_id: Option<&str>) -> bool {
        let was = self.routes.get(&run_id).and_then(|route| route.source_id.as_deref());
        was.zip(source_id).is_some_and(|(was, is)| database_of(was) != database_of(is))
    }

    /// What the caller is told of runs between other tables, where `left` is pulled now.
    pub fn warnings(&self, source_id: Option<&str>, left: &[Interval]) -> Vec<String> {
        let mut other: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        let (mut moved, mut gone) = (Vec::new(), Vec::new());
        for (run_id, interval) in &self.pulled {
            let Some(route) = self.routes.get(run_id) else { continue };
            if !self.counts(*run_id, source_id) {
                if left.iter().any(|left| !left.intersect(interval).is_empty()) {
                    other.entry(&route.words).or_default().push(*run_id);
                }
            } else if self.is_moved(*run_id, source_id) {
                moved.push(*run_id);
            }
            if route.same_target && route.target_is_gone {
                gone.push(*run_id);
            }
        }
        let mut warnings: Vec<_> = other
            .into_iter()
            .map(|(words, runs)| {
                format!(
                    "what {} pulled of the period {words} does not count: this call pulls {}",
                    numbers(runs),
                    self.call
                )
            })
            .collect();
        if !gone.is_empty() {
            warnings.push(format!(
                "the table that {} filled was dropped, and what was pulled counts because the target has its name; if the rows are gone, too, select lrs_extract.forget(…)",
                numbers(gone)
            ));
        }
        if !moved.is_empty() {
            warnings.push(format!(
                "the source is another database than the one that {} read under the same names, and what was pulled still counts; if its rows are others, select lrs_extract.forget(…)",
                numbers(moved)
            ));
        }
        warnings
    }
}

/// The runs of the pipeline that moved rows between the tables that it names now: their rejects are those
/// of the target as it is.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn runs_that_count(pipeline: &Pipeline, target: &Target) -> Result<Vec<i64>, Failure> {
    let routes = ledger::routes(&pipeline.id, &endpoints(pipeline, target))?;
    // The source is not asked: what it is called now was read under these names before.
    let named = routes.values().filter(|route| route.same_source_names);
    let tables: HashSet<&str> = named.filter_map(|route| route.source_id.as_deref()).collect();
    let counting = routes.iter().filter(|(_, route)| route.counts(|id| tables.contains(id)));
    Ok(counting.map(|(run_id, _)| *run_id).collect())
}

/// Other pipelines that have moved rows of the period between the same tables: a WARNING for each,
/// because this one brings their rows again.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn sibling_warnings(
    pipeline: &Pipeline,
    target: &Target,
    period: Period,
) -> Result<Vec<String>, Failure> {
    let siblings = ledger::siblings(&pipeline.id, period, &endpoints(pipeline, target))?;
    let warning = |sibling: ledger::Sibling| {
        let deleted = if sibling.is_deleted { ", which was deleted," } else { "" };
        format!(
            "pipeline \"{}\"{deleted} has pulled rows of the period from the same table into {} (run {}): pipeline \"{}\" brings them again",
            sibling.pipeline, target.sql_name, sibling.run_id, pipeline.name
        )
    };
    Ok(siblings.into_iter().map(warning).collect())
}

/// Other pipelines that have pulled rows of the period into the target, from wherever.
///
/// # Errors
/// [`Failure`] when the ledger cannot be read.
pub fn others_that_filled(
    pipeline: &Pipeline,
    target: &Target,
    period: Period,
) -> Result<Vec<String>, Failure> {
    let into = Endpoints { server: "", source_table: "", ..endpoints(pipeline, target) };
    let others = ledger::siblings(&pipeline.id, period, &into)?;
    Ok(others
        .into_iter()
        .map(|o| format!("pipeline \"{}\" (run {})", o.pipeline, o.run_id))
        .collect())
}

fn endpoints<'a>(pipeline: &'a Pipeline, target: &'a Target) -> Endpoints<'a> {
    Endpoints {
        server: &pipeline.server,
        source_table: &pipeline.source_table,
        target: &target.sql_name,
        target_oid: pg_sys::Oid::from(target.oid),
    }
}

/// Cluster and database of a table's identity.
fn database_of(identity: &str) -> Option<&str> {
    identity.rsplit_once('/').map(|(database, _)| database)
}

/// "run 3", or "runs 3, 4, 7".
fn numbers(mut runs: Vec<i64>) -> String {
    runs.sort_unstable();
    runs.dedup();
    let list = runs.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    format!("{} {list}", if runs.len() == 1 { "run" } else { "runs" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::Edge;
    use chrono::DateTime;

    fn interval(from: i64, to: i64) -> Interval {
        let edge = |micros| Edge::Before(DateTime::from_timestamp_micros(micros).unwrap());
        Interval::new(edge(from), edge(to))
    }

    fn coverage(route: Route) -> Coverage {
        Coverage {
            pulled: vec![(3, interval(0, 9)), (3, interval(9, 12))],
            routes: HashMap::from([(3, route)]),
            ..Coverage::default()
        }
    }

    fn route(same_target: bool, same_source_names: bool, source_id: Option<&str>) -> Route {
        Route {
            same_target,
            target_is_gone: false,
            same_source_names,
            source_id: source_id.map(str::to_owned),
            words: "from a into b".to_owned(),
        }
    }

    #[test]
    fn only_what_moved_between_the_same_tables_counts() {
        for (route, source, counts) in [
            (route(true, true, None), None, true),
            (route(true, true, Some("1/2/3")), Some("9/2/3"), true),
            (route(true, false, Some("1/2/3")), Some("1/2/3"), true),
            (route(true, false, Some("1/2/3")), Some("1/2/4"), false),
            (route(true, false, None), None, false),
            (route(false, true, Some("1/2/3")), Some("1/2/3"), false),
        ] {
            let coverage = coverage(route.clone());
            let expected = if counts { 2 } else { 0 };
            assert_eq!(coverage.counting(source).len(), expected, "{route:?} {source:?}");
        }
    }

    #[test]
    fn what_does_not_count_is_told_once_and_only_where_it_is_pulled() {
        let coverage = coverage(route(false, true, None));
        let told = coverage.warnings(None, &[interval(3, 20)]);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("what run 3 pulled of the period from a into b"), "{told:?}");
        assert!(coverage.warnings(None, &[interval(12, 20)]).is_empty());
    }

    #[test]
    fn another_database_behind_the_same_names_is_told() {
        let coverage = coverage(route(true, true, Some("1/2/3")));
        assert!(coverage.warnings(Some("1/2/9"), &[]).is_empty());
        assert_eq!(coverage.warnings(Some("7/2/3"), &[]).len(), 1);
    }
}
