//! The queries of a walk in the order of the heap.

use super::describe::WalkTable;
use super::keyset::range_condition;
use super::places::Places;
use super::sql::{Parameters, Values};
use crate::slice::HeapScan;
use chrono::{DateTime, Utc};

/// `server_version_num` of the first server that has a TID Range Scan.
const TID_RANGE_SCAN: i32 = 140_000;

/// Whether a server of this `server_version_num` can be asked for a range of blocks, so that their
/// places need no names.
pub(super) fn scans_ranges(version: i32) -> bool {
    version >= TID_RANGE_SCAN
}

/// The rows of blocks `[from, to)` that belong to the scan, and behind each whether its version is
/// newer than the scan.
pub fn blocks(table: &WalkTable, scan: &HeapScan, from: u32, to: u32) -> (String, Parameters) {
    let mut values = Parameters::default();
    let list = format!("{}, {} as is_new", table.select_list(), is_new(scan, &mut values));
    let condition = range_condition(table, &scan.interval, &mut values) + &table.only;
    let leaf = &scan.partition;
    let sql = if scans_ranges(table.version) {
        let (from, to) = (tid(&mut values, from), tid(&mut values, to));
        format!(
            "select {list} from only {leaf} where ctid >= {from} and ctid < {to} and {condition}"
        )
    } else {
        // As a sublink, so that the planner does not look at each of them.
        let places = values.places(Places::of(from..to, table.block_size));
        format!(
            "select {list} from only {leaf} where ctid = any ((select {places})::pg_catalog.tid[]) and {condition}"
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

impl Part {
    /// The sixteen parts of this one.
    pub fn parts(self) -> impl Iterator<Item = Part> {
        (0..16).map(move |n| Part { of: self.of * 16, part: self.part + n * self.of })
    }
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
