//! The comparison of both sides as multisets.

use std::collections::BTreeMap;
use std::fmt::Write;

use postgres::Client;

use super::Lab;

const FIRST_DIFFERENCES: usize = 12;

impl Lab {
    /// The stage holds, in target and rejects together, each source row of [from, to) exactly
    /// once, and the target's fields follow from the statements.
    pub fn assert_same_rows(&self, from: &str, to: &str) {
        let mut source = self.source();
        let mut stage = self.stage();
        let wanted = include_str!("sql/multiset_source.sql");
        let found = include_str!("sql/multiset_stage.sql");
        if digest(&mut source, wanted, from, to) != digest(&mut stage, found, from, to) {
            let wanted = multiset(&mut source, wanted, from, to);
            let found = multiset(&mut stage, found, from, to);
            panic!("[{from}, {to}) differs\n{}", difference(&wanted, &found));
        }
        let wrong = stage.query(include_str!("sql/wrong_fields.sql"), &[]).expect("the fields");
        let wrong: Vec<String> = wrong.iter().map(|row| row.get(0)).collect();
        assert!(wrong.is_empty(), "fields do not follow from the statement: {wrong:#?}");
    }

    /// `assert_same_rows` over all that a source has by default.
    pub fn assert_all_rows(&self) {
        self.assert_same_rows("2025-03-01", "2025-08-01");
    }

    /// Rows of the target.
    pub fn target_rows(&self) -> i64 {
        self.stage_value("select count(*) from pipeline.aidt_raw").parse().expect("a count")
    }
}

fn digest(client: &mut Client, lines: &str, from: &str, to: &str) -> (i64, Option<String>) {
    let sql = format!(
        "select count(*), md5(string_agg(line, ',' order by line collate \"C\")) from ({lines}) lines"
    );
    let row = client.query_one(&sql, &[&from, &to]).expect("a digest");
    (row.get(0), row.get(1))
}

type Multiset = BTreeMap<String, i64>;

fn multiset(client: &mut Client, lines: &str, from: &str, to: &str) -> Multiset {
    let mut counts = Multiset::new();
    for row in client.query(lines, &[&from, &to]).expect("the lines") {
        *counts.entry(row.get(0)).or_default() += 1;
    }
    counts
}

fn difference(wanted: &Multiset, found: &Multiset) -> String {
    let total = |set: &Multiset| set.values().sum::<i64>();
    let mut text = format!("source {} rows, stage {} rows\n", total(wanted), total(found));
    let mut differing: Vec<(&String, i64, i64)> = Vec::new();
    for line in wanted.keys().chain(found.keys().filter(|line| !wanted.contains_key(*line))) {
        let counts = |set: &Multiset| set.get(line).copied().unwrap_or(0);
        if counts(wanted) != counts(found) {
            differing.push((line, counts(wanted), counts(found)));
        }
    }
    let lost = differing.iter().map(|(_, wanted, found)| (wanted - found).max(0)).sum::<i64>();
    let extra = differing.iter().map(|(_, wanted, found)| (found - wanted).max(0)).sum::<i64>();
    let _ = writeln!(text, "{lost} missing, {extra} too many; the first, source:stage");
    for (line, wanted, found) in differing.iter().take(FIRST_DIFFERENCES) {
        let _ = writeln!(text, "  {wanted}:{found}  {line}");
    }
    text
}
