//! The rows of ranges that differ, of both sides, a bounded number at a time.

use super::bisection::Summed;
use super::difference::Difference;
use super::sides::Sides;
use super::source_sums::Inquiry;
use crate::error::Failure;
use crate::load::StageRow;
use crate::source::{
    Checksum, Rows, Side, SourceRow, TimeRange, WalkTable, numbered_sums, source_rows,
};
use std::collections::BTreeMap;

/// Rows that are compared at a time.
const ROWS_AT_ONCE: i64 = 5_000;
/// Rows of one timestamp are divided by their hashes, into so many each.
const ROWS_A_CLASS: i64 = 50;

/// A range, and its rows on both sides.
#[derive(Clone, Debug)]
pub struct ComparedRange {
    pub range: TimeRange,
    pub source: Vec<SourceRow>,
    pub stage: Vec<StageRow>,
    pub difference: Difference,
}

/// What is to be compared at a time: ranges, or a part of a timestamp's rows.
#[derive(Clone, Debug)]
pub struct Portion {
    pub ranges: Vec<TimeRange>,
    pub rows: Rows,
}

impl Portion {
    /// One range of it.
    pub fn of(&self, range: TimeRange) -> Portion {
        let rows = match &self.rows {
            Rows::Ranges(_) => Rows::Ranges(vec![range]),
            tie @ Rows::Tie { .. } => tie.clone(),
        };
        Portion { ranges: vec![range], rows }
    }
}

/// Divides ranges that differ into portions of bounded size.
///
/// # Errors
/// As [`Inquiry::ask`] and [`Sides::stage_sums`].
pub fn portions(
    sides: &Sides,
    inquiry: &mut impl Inquiry,
    differing: &[Summed],
) -> Result<Vec<Portion>, Failure> {
    let mut portions: Vec<Portion> = Vec::new();
    let (mut ranges, mut rows) = (Vec::new(), 0);
    let close = |ranges: &mut Vec<TimeRange>, portions: &mut Vec<Portion>| {
        if !ranges.is_empty() {
            let ranges = std::mem::take(ranges);
            portions.push(Portion { rows: Rows::Ranges(ranges.clone()), ranges });
        }
    };
    for summed in differing {
        let more = summed.most_rows();
        if more > ROWS_AT_ONCE {
            close(&mut ranges, &mut portions);
            portions.extend(of_tie(sides, inquiry, summed)?);
            rows = 0;
            continue;
        }
        if rows + more > ROWS_AT_ONCE {
            close(&mut ranges, &mut portions);
            rows = 0;
        }
        rows += more;
        ranges.push(summed.range);
    }
    close(&mut ranges, &mut portions);
    Ok(portions)
}

/// Of a timestamp that many rows share, those whose hashes are of a class that differs.
fn of_tie(
    sides: &Sides,
    inquiry: &mut impl Inquiry,
    summed: &Summed,
) -> Result<Vec<Portion>, Failure> {
    let at = summed.range.from;
    let wanted = (summed.most_rows() / ROWS_A_CLASS).clamp(1, 1 << 16);
    let mask = wanted.unsigned_abs().next_power_of_two().cast_signed() - 1;
    let stage = inquiry.on_stage(|| sides.stage_sums_of_tie(at, mask))?;
    let question = sides.source.sums_of_tie(at, mask);
    let from_source = inquiry
        .ask(false, move |session| numbered_sums(session, &question))?
        .ok_or_else(no_answer)?;
    let mut classes: BTreeMap<i64, (Checksum, Checksum)> = BTreeMap::new();
    for (class, sum) in from_source {
        classes.entry(class).or_default().0 += sum;
    }
    for (class, sum) in stage {
        classes.entry(class).or_default().1 += sum;
    }
    let mut portions = Vec::new();
    let (mut some, mut rows) = (Vec::new(), 0);
    let portion = |classes: Vec<i64>| Portion {
        ranges: vec![summed.range],
        rows: Rows::Tie { at, mask, classes },
    };
    for (class, (source, stage)) in classes.into_iter().filter(|(_, (a, b))| a != b) {
        let more = source.rows.max(stage.rows);
        if !some.is_empty() && rows + more > ROWS_AT_ONCE {
            portions.push(portion(std::mem::take(&mut some)));
            rows = 0;
        }
        rows += more;
        some.push(class);
    }
    if !some.is_empty() {
        portions.push(portion(some));
    }
    Ok(portions)
}

/// Asks the source for the rows of a portion, which are of one `partition` of `table`: at once where it manages
/// that within its time limits, else in parts.
///
/// # Errors
/// As [`Inquiry::ask`]; 55000 where it is no longer one.
pub fn rows_of_source(
    side: &Side,
    table: &WalkTable,
    partition: &str,
    inquiry: &mut impl Inquiry,
    rows: &Rows,
) -> Result<Vec<SourceRow>, Failure> {
    let actor = format!(", {}::pg_catalog.int8 as actor", table.actor);
    let mut found = Vec::new();
    let mut rest = vec![rows.clone()];
    while let Some(some) = rest.pop() {
        let halves = some.halves();
        let question = side.rows(&some, &actor);
        let (table, partition) = (table.clone(), partition.to_owned());
        let answer = inquiry.ask(halves.is_some(), move |session| {
            source_rows(session, &table, &partition, &question)
        })?;
        match (answer, halves) {
            (Some(rows), _) => found.extend(rows),
            (None, Some([first, second])) => rest.extend([second, first]),
            (None, None) => return Err(no_answer()),
        }
    }
    Ok(found)
}

fn no_answer() -> Failure {
    Failure::internal("a question that cannot be divided has no answer")
}

/// Compares the rows of a portion, range by range; those that do not differ (any more) are left out.
pub fn compare(
    portion: &Portion,
    source: Vec<SourceRow>,
    stage: Vec<StageRow>,
) -> Vec<ComparedRange> {
    let of = |range: &TimeRange, at| range.from <= at && at < range.to;
    let mut of_ranges: Vec<ComparedRange> = portion
        .ranges
        .iter()
        .map(|range| ComparedRange {
            range: *range,
            source: Vec::new(),
            stage: Vec::new(),
            difference: Difference::default(),
        })
        .collect();
    let find = |at, of_ranges: &[ComparedRange]| {
        let n = of_ranges.partition_point(|compared| compared.range.to <= at);
        of_ranges.get(n).filter(|compared| of(&compared.range, at)).map(|_| n)
    };
    for row in source {
        if let Some(n) = find(row.at, &of_ranges) {
            of_ranges[n].source.push(row);
        }
    }
    for row in stage {
        if let Some(n) = find(row.at, &of_ranges) {
            of_ranges[n].stage.push(row);
        }
    }
    for compared in &mut of_ranges {
        compared.difference = Difference::of(&compared.source, &compared.stage);
    }
    of_ranges.retain(|compared| !compared.difference.is_empty());
    of_ranges
}
