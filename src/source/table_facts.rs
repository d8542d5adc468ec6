//! What the source's catalog has of its table, part by part.

use super::connect::Session;
use super::describe::Table;
use super::error::SourceError;
use postgres::types::Type;

/// The table as the catalog describes it.
#[derive(Clone, Debug)]
pub struct TableFacts {
    /// `relkind`, in words.
    pub kind: &'static str,
    /// Whether policies decide which of its rows this role sees.
    pub row_security: bool,
    /// What holds the rows, where that is on this server.
    pub parts: Vec<Part>,
}

/// A table that holds rows: the table itself, or a partition of it.
#[derive(Clone, Debug)]
pub struct Part {
    /// As SQL writes it.
    pub name: String,
    /// With what is stored out of line.
    pub bytes: i64,
    /// Whether the heap has any block.
    pub is_filled: bool,
    /// By the last ANALYZE or VACUUM.
    pub rows: f64,
    /// Whether the role sees what ANALYZE found in the timestamp.
    pub has_statistics: bool,
    /// Whether it may see what there is.
    pub sees_statistics: bool,
    pub is_unlogged: bool,
    pub row_security: bool,
    /// Indexes on timestamp and actor that a failed CREATE INDEX CONCURRENTLY has left.
    pub invalid_indexes: Vec<String>,
}

const ACTION: &str = "read what the source's catalog has of the table";

impl TableFacts {
    /// Asks for `table`.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn ask(session: &mut Session, table: &Table) -> Result<TableFacts, SourceError> {
        let failed = |e| SourceError::from_client(ACTION, &e);
        let sql = include_str!("../../sql/source/table_facts.sql");
        let (timestamp, actor): (&str, &str) = (&table.names.timestamp, &table.names.actor);
        let rows = session
            .query(sql, &[(&table.oid, Type::OID), (&timestamp, Type::TEXT), (&actor, Type::TEXT)])
            .map_err(failed)?;
        let mut facts = TableFacts {
            kind: match table.kind {
                b'p' => "partitioned table",
                b'v' => "view",
                b'm' => "materialized view",
                b'f' => "foreign table",
                _ => "table",
            },
            row_security: false,
            parts: Vec::new(),
        };
        for row in rows {
            let row_security: bool = row.try_get("row_security").map_err(failed)?;
            let persistence: i8 = row.try_get("persistence").map_err(failed)?;
            if row.try_get("is_root").map_err(failed)? {
                facts.row_security = row_security;
            }
            if row.try_get("has_rows").map_err(failed)? {
                facts.parts.push(Part {
                    name: row.try_get("name").map_err(failed)?,
                    bytes: row.try_get("bytes").map_err(failed)?,
                    is_filled: row.try_get("is_filled").map_err(failed)?,
                    rows: row.try_get("rows").map_err(failed)?,
                    has_statistics: row.try_get("has_statistics").map_err(failed)?,
                    sees_statistics: row.try_get("sees_statistics").map_err(failed)?,
                    is_unlogged: persistence.cast_unsigned() == b'u',
                    row_security,
                    invalid_indexes: row.try_get("invalid_indexes").map_err(failed)?,
                });
            }
        }
        Ok(facts)
    }
}
