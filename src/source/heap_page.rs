//! The queries of a walk in the order of the heap.

use super::describe::WalkTable;
use super::keyset::range_condition;
use super::sql::{Parameters, Values};
use crate::slice::HeapScan;
use chrono::{DateTime, Utc};

/// `server_version_num` of the first server that scans a range of blocks (TID Range Scan).
pub const TID_RANGE_SCAN: i32 = 140_000;

/// The rows of blocks `[from, to)` that belong to the scan, and behind each whether its version is
/// newer than the scan.
pub fn blocks(table: &WalkTable, scan: &HeapScan, from: u32, to: u32) -> (String, Parameters) {
    let mut values = Parameters::default();
    let list = format!("{}, {} as is_new", table.select_list(), is_new(scan, &mut values));
    let condition = range_condition(table, &scan.interval, &mut values);
    let leaf = &scan.partition;
    let sql = if table.version >= TID_RANGE_SCAN {
        let (from, to) = (tid(&mut values, from), tid(&mut values, to));
        format!(
            "select {list} from only {leaf} where ctid >= {from} and ctid < {to} and {condition}"
        )
    } else {
        // Each block by the list of all places it can have: those that hold no row cost little.
        let (from, to) = (values.integer(from.into()), values.integer(i64::from(to) - 1));
        format!(
            "select page.* from pg_catalog.generate_series({from}, {to}) as block(n) \
             cross join lateral (select {list} from only {leaf} where ctid = any (\
             pg_catalog.replace('{}', 'B', block.n::pg_catalog.text)::pg_catalog.tid[]) \
             and {condition} offset 0) as page",
            places(table.block_size),
        )
    };
    (sql, values)
}

/// The timestamps at which the source now has row versions that are newer than the scan.
pub fn new_timestamps(table: &WalkTable, scan: &HeapScan) -> (String, Parameters) {
    let mut values = Parameters::default();
    let is_new = is_new(scan, &mut values);
    let condition = range_condition(table, &scan.interval, &mut values);
    let sql = format!(
        "select distinct {} from only {} where {condition} and {is_new}",
        table.timestamp, scan.partition
    );
    (sql, values)
}

/// One of several parts of the rows at some timestamps: those whose statement's id has this remainder.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// A power of two.
    pub of: i64,
    pub part: i64,
}

/// All rows of the scan at these timestamps, or a part of them.
pub fn at(
    table: &WalkTable,
    scan: &HeapScan,
    times: &[DateTime<Utc>],
    part: Option<Part>,
) -> (String, Parameters) {
    let mut values = Parameters::default();
    let times = values.timestamps(times);
    let mut condition = range_condition(table, &scan.interval, &mut values);
    if let Some(Part { of, part }) = part {
        let (mask, part) = (values.integer(of - 1), values.integer(part));
        condition.push_str(&format!(
            " and hashtextextended(coalesce({}::jsonb ->> 'id', ''), 0) & {mask} = {part}",
            table.statement
        ));
    }
    let sql = format!(
        "select {} from only {} where {} = any ({times}) and {condition} order by {}, {}",
        table.select_list(),
        scan.partition,
        table.timestamp,
        table.timestamp,
        table.actor
    );
    (sql, values)
}

/// Whether a row version was written by the scan's horizon or later. Frozen versions keep the number
/// of their transaction, which may be from before a wraparound and then seems to lie in the future.
fn is_new(scan: &HeapScan, values: &mut Parameters) -> String {
    let horizon = values.integer(scan.heap.horizon & 0xFFFF_FFFF);
    format!(
        "pg_catalog.age(xmin) between 0 and pg_catalog.age({horizon}::pg_catalog.text::pg_catalog.xid)"
    )
}

/// The first place of a block.
fn tid(values: &mut Parameters, block: u32) -> String {
    let block = values.integer(block.into());
    format!(
        "('(' operator(pg_catalog.||) {block}::pg_catalog.text operator(pg_catalog.||) ',0)')::pg_catalog.tid"
    )
}

/// A tid array of all places that block B can have: `{"(B,1)","(B,2)",…}`. As many as there are line
/// pointers in a page of tuples without data: `MaxHeapTuplesPerPage` of `access/htup_details.h`.
fn places(block_size: u32) -> String {
    const PAGE_HEADER: u32 = 24;
    const TUPLE_HEADER: u32 = 24;
    const LINE_POINTER: u32 = 4;
    let most = (block_size - PAGE_HEADER) / (TUPLE_HEADER + LINE_POINTER);
    let places: Vec<String> = (1..=most).map(|n| format!("\"(B,{n})\"")).collect();
    format!("{{{}}}", places.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_as_many_places_as_the_server_says() {
        // MaxHeapTuplesPerPage of blocks of 8 kB and 32 kB.
        assert!(places(8_192).ends_with("\"(B,291)\"}"));
        assert!(places(32_768).ends_with("\"(B,1169)\"}"));
    }
}
