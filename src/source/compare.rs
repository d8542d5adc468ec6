//! Many ranges of time asked for at once: what each comes to, and its rows. The same queries serve the
//! source, the target and the table `reject`.

use super::checksum::{Checksum, sums};
use super::connect::Session;
use super::describe::WalkTable;
use super::error::SourceError;
use super::session_sql::Mode;
use super::sql::{Parameters, Values, fill};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// From one time up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl TimeRange {
    /// Its two halves; none where it is a microsecond.
    pub fn halves(self) -> Option<[TimeRange; 2]> {
        let half = (self.to - self.from).num_microseconds().map(|wide| wide / 2);
        let middle = self.from + TimeDelta::microseconds(half.filter(|half| *half > 0)?);
        Some([TimeRange { to: middle, ..self }, TimeRange { from: middle, ..self }])
    }
}

/// A relation as a comparison asks for its rows; names and expressions as SQL writes them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Side {
    pub relation: String,
    pub timestamp: String,
    /// The hash of a row's statement.
    pub hash: String,
    /// The id of a row's statement, as text.
    pub id: String,
    /// A further condition, from " and" on.
    pub only: String,
    /// Whether an index finds the rows of a range; else one scan serves all ranges.
    pub has_index: bool,
}

/// Rows that are asked for.
#[derive(Clone, Debug)]
pub enum Rows {
    /// Of ranges that ascend and do not overlap.
    Ranges(Vec<TimeRange>),
    /// Of one timestamp those whose hashes, masked, are among some.
    Tie { at: DateTime<Utc>, mask: i64, classes: Vec<i64> },
}

impl Rows {
    /// Two parts of it; none where it cannot be divided.
    pub fn halves(&self) -> Option<[Rows; 2]> {
        match self {
            Rows::Ranges(ranges) if ranges.len() > 1 => {
                let (first, second) = ranges.split_at(ranges.len() / 2);
                Some([first, second].map(|half| Rows::Ranges(half.to_vec())))
            }
            Rows::Ranges(ranges) => {
                Some(ranges.first()?.halves()?.map(|half| Rows::Ranges(vec![half])))
            }
            Rows::Tie { at, mask, classes } => {
                let (first, second) = classes.split_at(classes.len() / 2);
                let half =
                    |some: &[i64]| Rows::Tie { at: *at, mask: *mask, classes: some.to_vec() };
                (!first.is_empty()).then(|| [half(first), half(second)])
            }
        }
    }
}

/// A query and its parameters.
#[derive(Clone, Debug)]
pub struct Question {
    pub sql: String,
    pub parameters: Vec<Parameter>,
}

/// A parameter of a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    Timestamp(DateTime<Utc>),
    Timestamps(Vec<DateTime<Utc>>),
    Integer(i64),
    Integers(Vec<i64>),
}

impl Side {
    /// What each of `ranges` comes to, which ascend and do not overlap; a row has its range's number `n`, as
    /// [`Side::places`] reads it. With `hashed`, statements are read.
    pub fn sums(&self, ranges: &[TimeRange], hashed: bool) -> Question {
        let template = if self.has_index {
            include_str!("../../sql/compare/sums_by_index.sql")
        } else {
            include_str!("../../sql/compare/sums_by_scan.sql")
        };
        let parameters = match self.has_index {
            true => vec![begins(ranges), ends(ranges)],
            false => vec![Parameter::Timestamps(Bounds::of(ranges).bounds)],
        };
        let hash = hashed.then_some(self.hash.as_str());
        Question { sql: self.fill(template, "", hash), parameters }
    }

    /// The index in `ranges` of what came with the number `n`; `None`: it is of none of them.
    pub fn places(&self, ranges: &[TimeRange]) -> impl Fn(i64) -> Option<usize> + use<> {
        let stretches = (!self.has_index).then(|| Bounds::of(ranges).stretches);
        move |n| match &stretches {
            None => usize::try_from(n - 1).ok(),
            Some(stretches) => stretches.binary_search(&n).ok(),
        }
    }

    /// What the rows of `at` come to, by their hashes under `mask`.
    pub fn sums_of_tie(&self, at: DateTime<Utc>, mask: i64) -> Question {
        let template = include_str!("../../sql/compare/sums_of_tie.sql");
        Question {
            sql: self.fill(template, "", Some(&self.hash)),
            parameters: vec![Parameter::Timestamp(at), Parameter::Integer(mask)],
        }
    }

    /// Rows with their `at`, `hash` and `id`, and `further` columns, from a comma on.
    pub fn rows(&self, rows: &Rows, further: &str) -> Question {
        let columns =
            format!("{} as at, {} as hash, {} as id{further}", self.timestamp, self.hash, self.id);
        let (template, parameters) = match rows {
            Rows::Ranges(ranges) if self.has_index => (
                include_str!("../../sql/compare/rows_by_index.sql"),
                vec![begins(ranges), ends(ranges)],
            ),
            Rows::Ranges(ranges) => {
                let Bounds { bounds, stretches } = Bounds::of(ranges);
                (
                    include_str!("../../sql/compare/rows_by_scan.sql"),
                    vec![Parameter::Timestamps(bounds), Parameter::Integers(stretches)],
                )
            }
            Rows::Tie { at, mask, classes } => (
                include_str!("../../sql/compare/rows_of_tie.sql"),
                vec![
                    Parameter::Timestamp(*at),
                    Parameter::Integer(*mask),
                    Parameter::Integers(classes.clone()),
                ],
            ),
        };
        Question { sql: self.fill(template, &columns, None), parameters }
    }

    fn fill(&self, template: &str, columns: &str, hash: Option<&str>) -> String {
        let sums = sums(&self.timestamp, hash);
        fill(template, |name| match name {
            "relation" => self.relation.as_str(),
            "timestamp" => &self.timestamp,
            "hash" => &self.hash,
            "only" => &self.only,
            "sums" => &sums,
            _ => columns,
        })
    }
}

fn begins(ranges: &[TimeRange]) -> Parameter {
    Parameter::Timestamps(ranges.iter().map(|range| range.from).collect())
}

fn ends(ranges: &[TimeRange]) -> Parameter {
    Parameter::Timestamps(ranges.iter().map(|range| range.to).collect())
}

/// Ranges as `width_bucket` takes them.
struct Bounds {
    /// Ascending; ranges that meet share one.
    bounds: Vec<DateTime<Utc>>,
    /// For each range the number of the stretch between two bounds that it is.
    stretches: Vec<i64>,
}

impl Bounds {
    fn of(ranges: &[TimeRange]) -> Bounds {
        let mut bounds: Vec<DateTime<Utc>> = Vec::with_capacity(ranges.len() + 1);
        let mut stretches = Vec::with_capacity(ranges.len());
        for range in ranges {
            if bounds.last() != Some(&range.from) {
                bounds.push(range.from);
            }
            stretches.push(bounds.len() as i64);
            bounds.push(range.to);
        }
        Bounds { bounds, stretches }
    }
}

/// A row of the source, as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    pub at: DateTime<Utc>,
    pub actor: Option<i64>,
    pub hash: i64,
    pub id: Option<String>,
}

const ACTION: &str = "compare a range of the source";

/// Asks the source what each of `ranges` comes to, in their order.
///
/// # Errors
/// [`SourceError`] as the source reports it.
pub fn range_sums(
    session: &mut Session,
    side: &Side,
    ranges: &[TimeRange],
    hashed: bool,
) -> Result<Vec<Checksum>, SourceError> {
    let mut sums = vec![Checksum::default(); ranges.len()];
    let place = side.places(ranges);
    for (n, sum) in numbered_sums(session, &side.sums(ranges, hashed))? {
        if let Some(range) = place(n).and_then(|n| sums.get_mut(n)) {
            *range += sum;
        }
    }
    Ok(sums)
}

/// Asks the source for sums, each with its number.
///
/// # Errors
/// [`SourceError`] as the source reports it.
pub fn numbered_sums(
    session: &mut Session,
    question: &Question,
) -> Result<Vec<(i64, Checksum)>, SourceError> {
    let failed = |e| SourceError::from_client(ACTION, &e);
    session.set_mode(Mode::Key)?;
    let mut rows = session.rows_once(&question.sql, &question.sent()).map_err(failed)?;
    let mut sums = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        sums.push((row.try_get("n").map_err(failed)?, Checksum::from_row(ACTION, &row)?));
    }
    Ok(sums)
}

/// Asks the source for the rows of a question that also names `actor`, of a part of `table`.
///
/// # Errors
/// 55000 where the part is no longer one of the table: it has no rows then, and nothing follows from that. Or another
/// [`SourceError`] as the source reports it.
pub fn source_rows(
    session: &mut Session,
    table: &WalkTable,
    partition: &str,
    question: &Question,
) -> Result<Vec<SourceRow>, SourceError> {
    let failed = |e| SourceError::from_client(ACTION, &e);
    session.set_mode(Mode::Key)?;
    let mut rows = session.rows_once(&question.sql, &question.sent()).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(SourceRow {
            at: row.try_get("at").map_err(failed)?,
            actor: row.try_get("actor").map_err(failed)?,
            hash: row.try_get("hash").map_err(failed)?,
            id: row.try_get("id").map_err(failed)?,
        });
    }
    table.check_still_holds(session, partition)?;
    Ok(found)
}

impl Question {
    fn sent(&self) -> Parameters {
        let mut sent = Parameters::default();
        for parameter in &self.parameters {
            match parameter {
                Parameter::Timestamp(timestamp) => sent.timestamp(*timestamp),
                Parameter::Timestamps(timestamps) => sent.timestamps(timestamps),
                Parameter::Integer(integer) => sent.integer(*integer),
                Parameter::Integers(integers) => sent.integers(integers),
            };
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn side(has_index: bool) -> Side {
        Side {
            relation: "a.\"{b}\"".into(),
            timestamp: "\"t\"".into(),
            hash: "h(\"s\")".into(),
            id: "i".into(),
            only: " and x".into(),
            has_index,
        }
    }

    #[test]
    fn hostile_names_stay_as_they_are() {
        let range = TimeRange { from: at(0), to: at(1) };
        for has_index in [true, false] {
            let sql = side(has_index).sums(&[range], false).sql;
            assert!(sql.contains("from a.\"{b}\"") && sql.contains(" and x"), "{sql}");
            assert!(!sql.contains("h(\"s\")"), "{sql}");
        }
    }

    proptest! {
        #[test]
        fn halves_are_all_of_it_and_end(lengths in prop::collection::vec(1i64..9, 0..6), tie in any::<bool>()) {
            let mut from = 0;
            let ranges = lengths.iter().map(|length| {
                let range = TimeRange { from: at(from), to: at(from + length) };
                from += length + 1;
                range
            });
            let whole = match tie {
                true => Rows::Tie { at: at(0), mask: 7, classes: lengths.clone() },
                false => Rows::Ranges(ranges.collect()),
            };
            let parts = |rows: &Rows| match rows {
                Rows::Tie { classes, .. } => classes.clone(),
                Rows::Ranges(ranges) => ranges.iter()
                    .flat_map(|r| r.from.timestamp_micros()..r.to.timestamp_micros()).collect(),
            };
            let (mut rest, mut found) = (vec![whole.clone()], Vec::new());
            while let Some(rows) = rest.pop() {
                match rows.halves() {
                    Some([first, second]) => rest.extend([second, first]),
                    None => {
                        prop_assert!(parts(&rows).len() <= 1);
                        found.extend(parts(&rows));
                    }
                }
            }
            prop_assert_eq!(found, parts(&whole));
        }

        /// As `width_bucket` numbers the stretches.
        #[test]
        fn each_time_is_of_the_range_that_holds_it(
            cuts in prop::collection::btree_set(0i64..60, 2..12), keep in prop::collection::vec(any::<bool>(), 12)
        ) {
            let cuts: Vec<i64> = cuts.into_iter().collect();
            let ranges: Vec<_> = cuts.windows(2).zip(&keep).filter(|(_, keep)| **keep)
                .map(|(w, _)| TimeRange { from: at(w[0]), to: at(w[1]) }).collect();
            let bounds = Bounds::of(&ranges).bounds;
            let place = side(false).places(&ranges);
            for micros in 0..60 {
                let n = bounds.iter().filter(|bound| **bound <= at(micros)).count() as i64;
                let holds = ranges.iter().position(|r| r.from <= at(micros) && at(micros) < r.to);
                prop_assert_eq!(place(n), holds);
            }
        }
    }
}
