//! What postgres_exporter makes of `examples/monitoring/queries.yml`, by its rules, but where it
//! would log and go on, a test ends.

use std::collections::{BTreeMap, BTreeSet};

use postgres::types::Type;
use postgres::{Client, Row};
use serde::Deserialize;

const SHIPPED: &str = include_str!("../../../../examples/monitoring/queries.yml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    query: String,
    master: bool,
    metrics: Vec<BTreeMap<String, Column>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    usage: Usage,
    description: String,
}

#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Usage {
    Label,
    Gauge,
    Counter,
}

impl Usage {
    /// The types that the exporter reads as such without loss.
    fn takes(self, of: &Type) -> bool {
        match self {
            Usage::Label => *of == Type::TEXT,
            Usage::Gauge | Usage::Counter => [Type::INT4, Type::INT8, Type::FLOAT8].contains(of),
        }
    }
}

/// The queries, each with its columns by name.
pub struct Queries(Vec<Declared>);

struct Declared {
    name: String,
    query: String,
    columns: BTreeMap<String, Usage>,
}

impl Queries {
    /// The file that is shipped.
    pub fn shipped() -> Self {
        let queries: BTreeMap<String, Query> =
            serde_saphyr::from_str(SHIPPED).unwrap_or_else(|error| panic!("queries.yml: {error}"));
        Self(queries.into_iter().map(Declared::of).collect())
    }

    /// The metrics that are declared, each with its labels.
    pub fn metrics(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.0.iter().flat_map(Declared::metrics).collect()
    }

    pub fn names(&self) -> BTreeSet<String> {
        self.metrics().into_keys().collect()
    }

    /// The names of what only grows.
    pub fn counters(&self) -> BTreeSet<String> {
        self.0.iter().flat_map(|query| query.named(Usage::Counter)).collect()
    }

    /// Runs every query in this session; each declared column is there, and no other, has a type
    /// that fits, is never null, and no two rows have the same labels.
    pub fn scrape(&self, session: &mut Client) -> Scrape {
        let mut scrape = Scrape::default();
        for query in &self.0 {
            query.scrape(session, &mut scrape);
        }
        scrape
    }
}

impl Declared {
    fn of((name, query): (String, Query)) -> Self {
        assert!(query.master, "{name} would run in every database that the exporter visits");
        let mut columns = BTreeMap::new();
        for metric in query.metrics {
            assert_eq!(metric.len(), 1, "{name}: one column a dash");
            for (column, declared) in metric {
                assert!(!declared.description.is_empty(), "{name}: {column} is not described");
                // As Prometheus wants its names.
                let total = column.ends_with("_total");
                assert_eq!(total, declared.usage == Usage::Counter, "{name}: {column}");
                let twice = columns.insert(column.clone(), declared.usage);
                assert!(twice.is_none(), "{name}: {column} is declared twice");
            }
        }
        Self { name, query: query.query, columns }
    }

    fn labels(&self) -> BTreeSet<String> {
        let is_label =
            |(column, usage): (&String, &Usage)| (*usage == Usage::Label).then(|| column.clone());
        self.columns.iter().filter_map(is_label).collect()
    }

    fn metrics(&self) -> impl Iterator<Item = (String, BTreeSet<String>)> {
        let names = self.named(Usage::Gauge).into_iter().chain(self.named(Usage::Counter));
        names.map(|name| (name, self.labels()))
    }

    fn named(&self, wanted: Usage) -> Vec<String> {
        let columns = self.columns.iter().filter(|(_, usage)| **usage == wanted);
        columns.map(|(column, _)| format!("{}_{column}", self.name)).collect()
    }

    fn scrape(&self, session: &mut Client, scrape: &mut Scrape) {
        let name = &self.name;
        let query = session.prepare(&self.query).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let found: Vec<&str> = query.columns().iter().map(postgres::Column::name).collect();
        let wanted: BTreeSet<&str> = self.columns.keys().map(String::as_str).collect();
        assert_eq!(BTreeSet::from_iter(found.iter().copied()), wanted, "{name}");
        assert_eq!(found.len(), wanted.len(), "{name} has a column twice");
        for column in query.columns() {
            let usage = self.columns[column.name()];
            assert!(usage.takes(column.type_()), "{name}: {column:?} as {usage:?}");
        }
        let rows = session.query(&query, &[]).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        for row in rows {
            self.add_samples(&row, scrape);
        }
    }

    fn add_samples(&self, row: &Row, scrape: &mut Scrape) {
        let labels: Labels = self
            .labels()
            .into_iter()
            .map(|label| (label.clone(), row.get::<_, String>(label.as_str())))
            .collect();
        for column in row.columns() {
            if self.columns[column.name()] != Usage::Label {
                let metric = format!("{}_{}", self.name, column.name());
                let value = number(row, column.name(), column.type_());
                let twice = scrape.0.insert((metric.clone(), labels.clone()), value);
                assert!(twice.is_none(), "{metric} comes twice with {labels:?}");
            }
        }
    }
}

fn number(row: &Row, column: &str, of: &Type) -> f64 {
    match *of {
        Type::INT4 => row.get::<_, i32>(column).into(),
        Type::INT8 => row.get::<_, i64>(column) as f64,
        _ => row.get(column),
    }
}

type Labels = BTreeMap<String, String>;

/// The samples of one visit.
#[derive(Debug, Default)]
pub struct Scrape(BTreeMap<(String, Labels), f64>);

impl Scrape {
    pub fn names(&self) -> BTreeSet<String> {
        self.0.keys().map(|(name, _)| name.clone()).collect()
    }

    /// The one sample of the pipeline `aidt` that has this label too.
    pub fn with(&self, metric: &str, label: &str, value: &str) -> f64 {
        self.sample(metric, &[("pipeline", "aidt"), (label, value)])
    }

    /// The one sample of the pipeline `aidt`.
    pub fn value(&self, metric: &str) -> f64 {
        self.sample(metric, &[("pipeline", "aidt")])
    }

    fn sample(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let found = self.0.get(&(metric.to_owned(), labels));
        *found.unwrap_or_else(|| panic!("no such sample of {metric} in {self:#?}"))
    }

    pub fn all_of(&self, metric: &str) -> Vec<f64> {
        self.0.iter().filter(|((name, _), _)| name == metric).map(|(_, value)| *value).collect()
    }
}
