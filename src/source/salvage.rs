//! A page with a row that the source cannot send: a value that storage has damaged, bytes that have no
//! meaning in UTF-8, an expression of a view that fails. Such a row still has its key: it is handed over
//! with the reason in the place of its values.

use super::chunk::{CHUNK_BYTES, ChunkBuilder, RawChunk, from_wire};
use super::describe::{StatementKind, WalkTable};
use super::error::SourceError;
use super::page_reader::PageReader;
use super::sql::{Parameters, timestamp_literal};

const ACTION: &str = "read a row of the source";

/// The query of a page over a table.
pub(super) type PageQuery<'a> = &'a dyn Fn(&WalkTable) -> (String, Parameters);

/// Reads the rows of a page that cannot be made smaller one by one, by their places, and hands them over;
/// returns their bytes on the wire. `failure` is what the source said of all of them.
///
/// # Errors
/// `failure`, with the key, where rows have no place to be told apart by; another [`SourceError`] as met.
pub(super) fn salvage(
    reader: &mut PageReader<'_>,
    builder: &mut ChunkBuilder,
    failure: SourceError,
    query: PageQuery<'_>,
) -> Result<u64, SourceError> {
    let request = reader.request;
    let table = &request.table;
    let mut bare = builder.bare();
    let (sql, parameters) = query(&places_of(table));
    match reader.fetch(&sql, &parameters, &mut bare) {
        Ok(()) => {}
        // A view's rows have no place.
        Err(error) if error.sqlstate == "42703" => {
            let (sql, parameters) = query(&keys_of(table));
            bare = builder.bare();
            reader.fetch(&sql, &parameters, &mut bare)?;
            let keys = bare.take();
            return by_key(reader, builder, failure, &keys, query);
        }
        Err(error) => return Err(error),
    }
    builder.note_new_versions(bare.new_versions());
    let (found, mut bytes) = (bare.take(), 0);
    if found.rows.is_empty() && bare.new_versions() == 0 {
        return Err(changed());
    }
    for row in &found.rows {
        let place = |k: usize| {
            let field = row.extra.get(k).and_then(|field| found.field(field));
            String::from_utf8_lossy(field.unwrap_or_default()).into_owned()
        };
        let only = format!(
            " and ctid = '{}'::pg_catalog.tid and tableoid = {}::pg_catalog.oid",
            place(0),
            place(1)
        );
        let (sql, parameters) = query(&WalkTable { only, ..table.clone() });
        let before = builder.rows();
        match reader.fetch(&sql, &parameters, builder) {
            Ok(()) if builder.rows() > before => {}
            Ok(()) => return Err(changed()),
            Err(error) if error.is_damage() => builder.push_key(row, &error)?,
            Err(error) => return Err(error),
        }
        if builder.wire_bytes() >= CHUNK_BYTES {
            bytes += reader.give_held(builder.take())?;
        }
    }
    Ok(bytes + reader.give_held(builder.take())?)
}

/// The same where rows have no place, of a page whose rows all have one key: by that key.
fn by_key(
    reader: &mut PageReader<'_>,
    builder: &mut ChunkBuilder,
    failure: SourceError,
    keys: &RawChunk,
    query: PageQuery<'_>,
) -> Result<u64, SourceError> {
    let Some(row) = keys.rows.first() else { return Err(failure) };
    let table = &reader.request.table;
    let time = from_wire(row.timestamp).map(timestamp_literal).unwrap_or_default();
    let actor = row.actor.map_or_else(|| "is null".to_owned(), |actor| format!("= {actor}"));
    let only = format!(" and {} = {time} and {} {actor}", table.timestamp, table.actor);
    let (sql, parameters) = query(&WalkTable { only, ..table.clone() });
    let mut rows = builder.like();
    match reader.fetch(&sql, &parameters, &mut rows) {
        // It was the row behind them, which the source looks at for more of the same key.
        Ok(()) if rows.rows() == 0 => return Err(changed()),
        Ok(()) => *builder = rows,
        Err(error) if error.is_damage() && keys.rows.len() == 1 => builder.push_key(row, &error)?,
        Err(error) => return Err(at_key(error, keys)),
    }
    reader.give_held(builder.take())
}

/// Nothing of the page may be taken for its end.
fn changed() -> SourceError {
    let message = "a row was changed while its page was read row by row";
    SourceError::transient(ACTION, "40001", message)
}

fn at_key(failure: SourceError, keys: &RawChunk) -> SourceError {
    let Some(row) = keys.rows.first() else { return failure };
    let detail = format!("It is one of {} rows with {}.", keys.rows.len(), row.place());
    failure.with_detail(detail).with_hint(
        "Name the table itself as source_table, so that the row can be told from those with its key; or correct it there.",
    )
}

/// The table with nothing of its rows but their keys and places.
fn places_of(table: &WalkTable) -> WalkTable {
    WalkTable { extra: vec!["ctid".into(), "tableoid".into()], ..keys_of(table) }
}

/// The table with nothing of its rows but their keys.
fn keys_of(table: &WalkTable) -> WalkTable {
    WalkTable {
        statement: "null::pg_catalog.text".into(),
        statement_kind: StatementKind::Text,
        extra: Vec::new(),
        ..table.clone()
    }
}
