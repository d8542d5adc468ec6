//! The walk in the order of keys: page after page of the index, or window after window of it.

use super::chunk::{ChunkBuilder, Order};
use super::error::SourceError;
use super::key_progress::KeyProgress;
use super::keyset::{Cursor, PageSummary};
use super::page_reader::{PageRead, PageReader};
use super::salvage::salvage;
use super::session_sql::Mode;
use super::walk_request::BatchEnd;
use super::window::{WindowWidth, rows_of};
use crate::slice::{Interval, Key, Position};

/// Walks `interval`, by pages, whose `progress` is watched, or in windows; returns the end of its last batch, which is left to be handed
/// over. `None` when nobody wants the rest.
///
/// # Errors
/// [`SourceError`] as met.
pub(super) fn walk(
    reader: &mut PageReader<'_>,
    interval: Interval,
    mut progress: Option<KeyProgress>,
    mut windows: Option<WindowWidth>,
) -> Result<Option<BatchEnd>, SourceError> {
    let batch = reader.batch();
    let mut cursor = Cursor::new(interval);
    loop {
        let (mut rows, mut last) = (0, None);
        while rows < batch && !cursor.is_done() {
            let size = reader.page_size(batch - rows);
            let before = cursor.rest();
            // A page that was too much comes again row by row, which has an end.
            let careful = reader.request.careful;
            let windows_now =
                windows.filter(|_| !careful && !reader.request.throttle.is_shrunk(batch));
            let window = windows_now.and_then(|windows| windows.next(&before, size.rows));
            let (read, of_page) = match window {
                Some(window) => read_window(reader, &mut cursor, &window, size.bytes)?,
                None if careful => read_page_with_care(reader, &mut cursor, size.rows)?,
                None => read_page(reader, &mut cursor, size.rows, size.bytes)?,
            };
            reader.request.throttle.note_page(read.builder.rows(), read.bytes);
            if let Some(windows) = &mut windows {
                windows.note(&Interval::new(before.from, cursor.position()), read.builder.rows());
            }
            rows += read.builder.rows();
            last = of_page.or(last);
            if let Some(progress) = &mut progress {
                progress.note(reader, read.builder.rows())?;
            }
        }
        let end = BatchEnd {
            position: Position::Key(cursor.position()),
            last,
            done: cursor.is_done(),
            new_versions: 0,
        };
        if end.done {
            return Ok(Some(end));
        }
        if !reader.end_batch(end) {
            return Ok(None);
        }
    }
}

/// Reads `rows` rows in the order of keys, and those that share the last one's key.
fn read_page(
    reader: &mut PageReader<'_>,
    cursor: &mut Cursor,
    rows: u64,
    bytes: u64,
) -> Result<(PageRead, Option<Key>), SourceError> {
    let room = reader.await_turn(bytes)?;
    reader.session.set_mode(Mode::Key)?;
    let table = &reader.request.table;
    let page = cursor.next_page(table, rows, reader.batch());
    let builder = ChunkBuilder::new(table.statement_kind, Order::Key);
    let read = reader.read(&page.sql, &page.parameters, builder, room)?;
    let last = read.builder.last_key()?;
    let (rows, last_ties) = (read.builder.rows(), read.builder.last_ties());
    cursor.advance(&page, &PageSummary { rows, last, last_ties });
    Ok((read, last))
}

/// The same where a row of the source cannot be sent: it is handed over with its key alone. Nothing of a
/// page is handed over before all of it is there.
fn read_page_with_care(
    reader: &mut PageReader<'_>,
    cursor: &mut Cursor,
    rows: u64,
) -> Result<(PageRead, Option<Key>), SourceError> {
    reader.session.set_mode(Mode::Key)?;
    let (request, batch) = (reader.request, reader.batch());
    let table = &request.table;
    let mut limit = rows;
    loop {
        let page = cursor.next_page(table, limit, batch);
        let mut builder = ChunkBuilder::new(table.statement_kind, Order::Key);
        let bytes = match reader.collect(&page.sql, &page.parameters, &mut builder) {
            Ok(Some(chunk)) => {
                let bytes = chunk.wire_bytes as u64;
                reader.give_whole(chunk)?;
                bytes
            }
            Ok(None) if limit == 1 => {
                let most = reader.budget.page() as u64;
                return read_page(reader, cursor, limit, most);
            }
            Err(error) if error.is_damage() && limit == 1 => {
                builder = ChunkBuilder::new(table.statement_kind, Order::Key);
                salvage(reader, &mut builder, error, &|table| {
                    let page = cursor.next_page(table, limit, batch);
                    (page.sql, page.parameters)
                })?
            }
            Err(error) if !error.is_damage() => return Err(error),
            Ok(None) | Err(_) => {
                limit /= 2;
                continue;
            }
        };
        let last = builder.last_key()?;
        let (rows, last_ties) = (builder.rows(), builder.last_ties());
        cursor.advance(&page, &PageSummary { rows, last, last_ties });
        return Ok((PageRead { builder, bytes }, last));
    }
}

/// Reads all rows of `window`, which begins at the cursor.
fn read_window(
    reader: &mut PageReader<'_>,
    cursor: &mut Cursor,
    window: &Interval,
    bytes: u64,
) -> Result<(PageRead, Option<Key>), SourceError> {
    let room = reader.await_turn(bytes)?;
    reader.session.set_mode(Mode::Window)?;
    let table = &reader.request.table;
    let (sql, parameters) = rows_of(table, window);
    let builder = ChunkBuilder::new(table.statement_kind, Order::Any);
    let read = reader.read(&sql, &parameters, builder, room)?;
    let last = read.builder.largest_key()?;
    cursor.skip_to(window.to);
    Ok((read, last))
}
