//! What the source's table is: its columns, its partitions, the clock of its server.

use super::clock::Clock;
use super::connect::{Session, Typed};
use super::error::SourceError;
use super::grants::with_grants;
use super::partition::{self, Node};
use super::sql::{quote_identifier, timestamp_literal};
use super::subscription::Subscription;
use crate::slice::Segment;
use chrono::{DateTime, Utc};
use postgres::types::Type;
use serde::{Deserialize, Serialize};

/// The names by which a pipeline finds its rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableNames {
    /// As SQL writes it, schema and all: `acid.lrs_statement_new`.
    pub table: String,
    /// Column names, exactly as in the catalog.
    pub timestamp: String,
    pub actor: String,
    pub statement: String,
    /// Further columns that the mapping asks for, sent as text.
    pub extra: Vec<String>,
}

/// How the statement column comes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementKind {
    /// A version byte, then the text (`jsonb_send`).
    Jsonb,
    /// The text alone: json, text, varchar.
    Text,
}

/// The source's table as one session found it.
#[derive(Clone, Debug)]
pub struct Table {
    pub names: TableNames,
    pub statement_kind: StatementKind,
    /// The table's own name as the source prints it: schema and table, quoted where needed.
    pub sql_name: String,
    /// `server_version_num` of the source.
    pub version: i32,
    /// Bytes of a block there.
    pub block_size: u32,
    /// The source's clock, asked before anything else.
    pub clock: Clock,
    /// Where its rows come from another server.
    pub subscription: Option<Subscription>,
    /// The encoding of the source's database, as PostgreSQL names it.
    pub encoding: String,
    /// The table by the system identifier of its cluster and the oids of its database and its own:
    /// "7312345678901234567/16384/16402". The cluster's standbys have the same. `None` where the
    /// user may not ask for it.
    pub identity: Option<String>,
    pub(super) oid: u32,
    /// `relkind`.
    pub(super) kind: u8,
    pub(super) nodes: Vec<Node>,
}

/// How the key of a table lies in its heap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyStatistics {
    /// How the heap's order follows the timestamp: -1 … 1.
    pub correlation: f32,
    /// Rows that share one timestamp, by what is most common in the sample.
    pub ties: f64,
}

/// The part of a [`Table`] that the walk needs, in a form that travels to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WalkTable {
    pub sql_name: String,
    pub timestamp: String,
    pub actor: String,
    pub statement: String,
    pub extra: Vec<String>,
    /// A further condition of each page: a row's place.
    pub only: String,
    pub statement_kind: StatementKind,
    /// `server_version_num` of the source.
    pub version: i32,
    /// Bytes of a block there.
    pub block_size: u32,
}

impl WalkTable {
    /// The select list of a page: key, statement, further columns as text.
    pub fn select_list(&self) -> String {
        let mut list = format!("{}, {}, {}", self.timestamp, self.actor, self.statement);
        for (n, column) in self.extra.iter().enumerate() {
            // Named anew: a key column that is asked for twice would make ORDER BY ambiguous.
            list.push_str(&format!(", {column}::pg_catalog.text as extra_{n}"));
        }
        list
    }

    /// Checks that rows of `partition` are still rows of the table: from one that was detached
    /// during the run, the walk gets nothing, and what it got before is not all there was.
    ///
    /// # Errors
    /// 55000 when they are not, or another [`SourceError`] as the source reports it.
    pub(super) fn check_still_holds(
        &self,
        session: &mut Session,
        partition: &str,
    ) -> Result<(), SourceError> {
        let sql = include_str!("../../sql/source/still_holds.sql");
        let holds = query(session, sql, &[(&self.sql_name, Type::TEXT), (&partition, Type::TEXT)])?
            .first()
            .map(|row| get(row, "holds"))
            .transpose()?;
        if holds == Some(true) {
            return Ok(());
        }
        Err(SourceError::permanent(
            "read a slice to its end",
            "55000",
            format!("{partition} is no longer a partition of {}", self.sql_name),
        )
        .with_hint("It was detached, dropped or renamed after the run was planned. Call pull again: it continues with the partitions that exist now."))
    }
}

const ACTION: &str = "read the source table's description";

impl Table {
    /// Asks the source about the table of `names`.
    ///
    /// # Errors
    /// [`SourceError`] when the table or a column is missing, is of a type the walk cannot use, or
    /// the session fails.
    pub fn describe(session: &mut Session, names: &TableNames) -> Result<Table, SourceError> {
        Table::ask(session, names).map_err(|error| with_grants(error, session, &names.table))
    }

    fn ask(session: &mut Session, names: &TableNames) -> Result<Table, SourceError> {
        let clock = session.clock()?;
        let found = query(
            session,
            include_str!("../../sql/source/describe.sql"),
            &[(&names.table, Type::TEXT)],
        )?;
        let row = found.first().ok_or_else(|| {
            SourceError::permanent(ACTION, "42P01", format!("no table {} there", names.table))
                .with_hint("source_table of the pipeline is read with its schema: 'acid.lrs_statement_new'.")
        })?;
        let version: i32 = get(row, "version")?;
        let oid: u32 = get(row, "oid")?;
        let kind: i8 = get(row, "relkind")?;
        if !b"rpvmf".contains(&kind.cast_unsigned()) {
            return Err(SourceError::permanent(
                ACTION,
                "42809",
                format!("{} is neither a table nor a view", names.table),
            )
            .with_hint("Correct source_table in lrs_extract.pipeline."));
        }
        let statement_kind = check_columns(session, oid, names)?;
        let identity = if get(row, "tells_cluster")? {
            let told = query(session, include_str!("../../sql/source/cluster.sql"), &[])?;
            let cluster: Option<String> =
                told.first().map(|row| get(row, "cluster")).transpose()?;
            let database: u32 = get(row, "database_oid")?;
            cluster.map(|cluster| format!("{cluster}/{database}/{oid}"))
        } else {
            None
        };
        let column: &str = &names.timestamp;
        let nodes = query(
            session,
            include_str!("../../sql/source/partitions.sql"),
            &[(&oid, Type::OID), (&column, Type::TEXT)],
        )?
        .iter()
        .map(|row| {
            Ok(Node {
                oid: get(row, "oid")?,
                parent: get(row, "parent")?,
                name: get(row, "name")?,
                bound: get(row, "bound")?,
                cut_by_time: get(row, "cut_by_time")?,
            })
        })
        .collect::<Result<Vec<_>, SourceError>>()?;
        let sql_name: String = get(row, "name")?;
        let subscription = Subscription::ask(session, oid, &sql_name)?;
        // Where nobody works at it, nothing holds the clock back: it may have come to its end for good.
        let clock = match subscription.as_ref().and_then(|subscription| subscription.heard) {
            Some(heard) => clock.of_subscriber(heard),
            None => clock,
        };
        Ok(Table {
            names: names.clone(),
            statement_kind,
            sql_name,
            version,
            block_size: get::<i32>(row, "block_size")?.unsigned_abs(),
            clock,
            subscription,
            encoding: get(row, "encoding")?,
            identity,
            oid,
            kind: kind.cast_unsigned(),
            nodes,
        })
    }

    /// Has further columns read, where the table has them.
    ///
    /// # Errors
    /// As [`Table::describe`], of these columns.
    pub fn read_extra(
        &mut self,
        session: &mut Session,
        extra: &[String],
    ) -> Result<(), SourceError> {
        let names = TableNames { extra: extra.to_vec(), ..self.names.clone() };
        check_columns(session, self.oid, &names)?;
        self.names = names;
        Ok(())
    }

    /// What the walk needs, with every name quoted.
    pub fn for_walk(&self) -> WalkTable {
        WalkTable {
            sql_name: self.sql_name.clone(),
            timestamp: quote_identifier(&self.names.timestamp),
            actor: quote_identifier(&self.names.actor),
            statement: quote_identifier(&self.names.statement),
            extra: self.names.extra.iter().map(|c| quote_identifier(c)).collect(),
            only: String::new(),
            statement_kind: self.statement_kind,
            version: self.version,
            block_size: self.block_size,
        }
    }

    /// The oid of the table, and that of its part `partition`; `None` when it has no such.
    pub fn oids(&self, partition: &str) -> Option<(u32, u32)> {
        let node = self.nodes.iter().find(|node| node.name == partition);
        match node {
            Some(node) => Some((self.oid, node.oid)),
            None => (partition == self.sql_name).then_some((self.oid, self.oid)),
        }
    }

    /// The stretches of `[from, to)` that can hold rows; see [`partition::segments`].
    pub fn segments(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Segment> {
        partition::segments(&self.sql_name, &self.nodes, from, to)
    }

    /// The tables at the ends of the tree below its part of that name, which is one of them where it has no
    /// parts of its own.
    pub fn leaves_below(&self, name: &str) -> Vec<String> {
        partition::leaves_below(&self.nodes, name)
    }

    /// The stretches of all time.
    pub fn all_segments(&self) -> Vec<Segment> {
        self.segments(MOST_DISTANT_PAST, MOST_DISTANT_FUTURE)
    }

    /// Whether a part may hold rows without a finite timestamp.
    pub(super) fn has_unbounded_parts(&self) -> bool {
        partition::has_unbounded_parts(&self.nodes)
    }

    /// The smallest (or largest) finite timestamp of the table, by its index where it has one;
    /// `None` in an empty table. It stands in for an infinite bound of a period.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn extreme(
        &self,
        session: &mut Session,
        smallest: bool,
    ) -> Result<Option<DateTime<Utc>>, SourceError> {
        let column = quote_identifier(&self.names.timestamp);
        let sql = format!(
            "select (extract(epoch from date_trunc('second', t)) * 1000000)::int8 \
             from (select {column} as t from {} where {column} > {} and {column} < {} \
             order by {column} {} limit 1) as one",
            self.sql_name,
            timestamp_literal(MOST_DISTANT_PAST),
            timestamp_literal(MOST_DISTANT_FUTURE),
            if smallest { "asc" } else { "desc" },
        );
        let rows = query(session, &sql, &[])?;
        let micros: Option<i64> = match rows.first() {
            Some(row) => row.try_get(0).map_err(|e| SourceError::from_client(ACTION, &e))?,
            None => None,
        };
        Ok(micros.and_then(DateTime::from_timestamp_micros))
    }

    /// How the key lies in the heap, per table that holds rows, where the source has statistics that this
    /// user may see.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn key_statistics(
        &self,
        session: &mut Session,
    ) -> Result<Vec<(String, KeyStatistics)>, SourceError> {
        let column: &str = &self.names.timestamp;
        query(
            session,
            include_str!("../../sql/source/key_statistics.sql"),
            &[(&self.oid, Type::OID), (&column, Type::TEXT)],
        )?
        .iter()
        .map(|row| {
            let (correlation, ties) = (get(row, "correlation")?, get(row, "ties")?);
            Ok((get(row, "name")?, KeyStatistics { correlation, ties }))
        })
        .collect()
    }
}

/// 4713 BC and 294276 AD are PostgreSQL's ends, 262143 is chrono's; nobody keeps records there.
const MOST_DISTANT_PAST: DateTime<Utc> = DateTime::from_timestamp(-210_000_000_000, 0).unwrap();
const MOST_DISTANT_FUTURE: DateTime<Utc> = DateTime::from_timestamp(8_000_000_000_000, 0).unwrap();

fn query(
    session: &mut Session,
    sql: &str,
    params: &[Typed<'_>],
) -> Result<Vec<postgres::Row>, SourceError> {
    session.query(sql, params).map_err(|e| SourceError::from_client(ACTION, &e))
}

fn get<'a, T: postgres::types::FromSql<'a>>(
    row: &'a postgres::Row,
    column: &str,
) -> Result<T, SourceError> {
    row.try_get(column).map_err(|e| SourceError::permanent(ACTION, "XX000", e.to_string()))
}

/// Checks that each column is there and of a usable type; tells how the statement is sent.
fn check_columns(
    session: &mut Session,
    oid: u32,
    names: &TableNames,
) -> Result<StatementKind, SourceError> {
    let mut wanted = vec![&names.timestamp, &names.actor, &names.statement];
    wanted.extend(&names.extra);
    let rows = query(
        session,
        include_str!("../../sql/source/columns.sql"),
        &[(&oid, Type::OID), (&wanted, Type::TEXT_ARRAY)],
    )?;
    let mut types = std::collections::HashMap::new();
    for row in &rows {
        types.insert(get::<String>(row, "name")?, get::<String>(row, "type")?);
    }
    let type_of = |column: &str| {
        types.get(column).map(String::as_str).ok_or_else(|| {
            SourceError::permanent(
                ACTION,
                "42703",
                format!("{} has no column \"{column}\"", names.table),
            )
            .with_hint("Correct the column names in lrs_extract.pipeline.")
        })
    };
    let unusable = |column: &str, found: &str, wanted: &str| {
        Err(SourceError::permanent(
            ACTION,
            "42804",
            format!("column \"{column}\" of {} is of type {found}; {wanted}", names.table),
        )
        .with_hint("Correct the column names in lrs_extract.pipeline, or name a view of the source that casts the column."))
    };
    match type_of(&names.timestamp)? {
        "timestamptz" => {}
        other => return unusable(&names.timestamp, other, "the walk needs timestamptz"),
    }
    match type_of(&names.actor)? {
        "int8" | "int4" | "int2" => {}
        other => {
            return unusable(&names.actor, other, "the walk needs bigint, integer or smallint");
        }
    }
    for column in &names.extra {
        type_of(column)?;
    }
    match type_of(&names.statement)? {
        "jsonb" => Ok(StatementKind::Jsonb),
        "json" | "text" | "varchar" => Ok(StatementKind::Text),
        other => unusable(&names.statement, other, "statements are jsonb, json or text"),
    }
}
