//! Rows that are wanted one by one: of a timestamp, and with a statement of a known hash.

use super::chunk::{ChunkBuilder, Order};
use super::error::SourceError;
use super::page_reader::PageReader;
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
        let (page, after) = rest.split_at(first(rest, size.rows));
        rest = after;
        let room = reader.await_turn(size.bytes)?;
        reader.session.set_mode(Mode::Key)?;
        let builder = ChunkBuilder::new(reader.request.table.statement_kind, Order::Any);
        let (sql, parameters) = question(reader, &wanted.hash, page);
        let read = reader.read(&sql, &parameters, builder, room)?;
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

fn question(
    reader: &PageReader<'_>,
    hash: &str,
    page: &[(DateTime<Utc>, i64, i64)],
) -> (String, Parameters) {
    let table = &reader.request.table;
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
        _ => &columns,
    });
    (sql, parameters)
}
