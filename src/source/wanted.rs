//! Rows that are wanted one by one: of a timestamp, and with a statement of a known hash.

use super::chunk::{ChunkBuilder, Order};
use super::describe::WalkTable;
use super::error::SourceError;
use super::page_reader::{PageRead, PageReader};
use super::salvage::salvage;
use super::session_sql::Mode;
use super::sql::{Parameters, fill};
use super::walk_request::{BatchEnd, Wanted};
use crate::slice::{Edge, Key, Position};
use chrono::{DateTime, Utc};

/// Reads rows that are wanted, page by page, and returns the end of the one batch that they are.
///
/// # Errors
/// [`SourceError`] as met.
pub(super) fn walk(reader: &mut PageReader<'_>, wanted: &Wanted) -> Result<BatchEnd, SourceError> {
    let mut last: Option<Key> = None;
    let mut rest = wanted.rows.as_slice();
    while !rest.is_empty() {
        let size = reader.page_size(rest.iter().map(|(_, _, count)| count.unsigned_abs()).sum());
        // A row that cannot be sent is told from others.
        let rows = if reader.request.careful { 1 } else { size.rows };
        let (page, after) = rest.split_at(first(rest, rows));
        rest = after;
        let read = if reader.request.careful {
            read_with_care(reader, &wanted.hash, page)?
        } else {
            let room = reader.await_turn(size.bytes)?;
            reader.session.set_mode(Mode::Key)?;
            let table = &reader.request.table;
            let builder = ChunkBuilder::new(table.statement_kind, Order::Any);
            let (sql, parameters) = question(table, &wanted.hash, page);
            reader.read(&sql, &parameters, builder, room)?
        };
        reader.request.throttle.note_page(read.builder.rows(), read.bytes);
        let place = |key: &Key| (key.timestamp, key.actor.is_none(), key.actor);
        last = last.into_iter().chain(read.builder.largest_key()?).max_by_key(place);
    }
    let position = Edge::Before(last.map_or(DateTime::UNIX_EPOCH, |key| key.timestamp));
    Ok(BatchEnd { position: Position::Key(position), last, done: true, new_versions: 0 })
}

/// How many of `wanted` are a page of `rows`: one at least.
fn first(wanted: &[(DateTime<Utc>, i64, i64)], rows: u64) -> usize {
    let mut sum = 0;
    let fits = |(_, _, count): &&(DateTime<Utc>, i64, i64)| {
        sum += count.unsigned_abs();
        sum <= rows
    };
    wanted.iter().take_while(fits).count().max(1)
}

/// Reads rows that are alike; where the source cannot send them, they are handed over with their keys alone.
fn read_with_care(
    reader: &mut PageReader<'_>,
    hash: &str,
    page: &[(DateTime<Utc>, i64, i64)],
) -> Result<PageRead, SourceError> {
    reader.session.set_mode(Mode::Key)?;
    let table = &reader.request.table;
    let mut builder = ChunkBuilder::new(table.statement_kind, Order::Any);
    let (sql, parameters) = question(table, hash, page);
    let bytes = match reader.collect(&sql, &parameters, &mut builder) {
        Ok(Some(chunk)) => {
            let bytes = chunk.wire_bytes as u64;
            reader.give_whole(chunk)?;
            bytes
        }
        Ok(None) => {
            let room = reader.await_turn(reader.budget.page() as u64)?;
            let builder = ChunkBuilder::new(table.statement_kind, Order::Any);
            return reader.read(&sql, &parameters, builder, room);
        }
        Err(error) if error.is_damage() => {
            builder = ChunkBuilder::new(table.statement_kind, Order::Any);
            salvage(reader, &mut builder, error, &|table| question(table, hash, page))?
        }
        Err(error) => return Err(error),
    };
    Ok(PageRead { builder, bytes })
}

fn question(
    table: &WalkTable,
    hash: &str,
    page: &[(DateTime<Utc>, i64, i64)],
) -> (String, Parameters) {
    let mut parameters = Parameters::default();
    let times: Vec<_> = page.iter().map(|(at, _, _)| *at).collect();
    let mut distinct = times.clone();
    distinct.dedup();
    parameters.timestamps(&times);
    parameters.integers(&page.iter().map(|(_, hash, _)| *hash).collect::<Vec<_>>());
    parameters.integers(&page.iter().map(|(_, _, count)| *count).collect::<Vec<_>>());
    parameters.timestamps(&distinct);
    let columns = table.select_list();
    let sql = fill(include_str!("../../sql/source/wanted.sql"), |name| match name {
        "relation" => table.sql_name.as_str(),
        "timestamp" => &table.timestamp,
        "hash" => hash,
        "only" => &table.only,
        _ => &columns,
    });
    (sql, parameters)
}
