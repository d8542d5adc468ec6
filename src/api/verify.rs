//! `lrs_extract.verify`: source, target and rejects side by side.

use super::arguments::{Period, present};
use super::connection::connection;
use super::layout::{Layout, Question};
use crate::backend::role::{check_encoding, current_role};
use crate::backend::time::to_server;
use crate::backend::transaction::catching;
use crate::error::{Failure, or_raise};
use crate::ledger::{self, Pipeline};
use crate::load::{self, Target};
use crate::run::client_watch::ClientWatch;
use crate::run::count::SourceCount;
use crate::run::errand::Conversation;
use crate::run::pacing::Pacing;
use crate::slice::PlannedSlice;
use crate::source::{COUNT_INSTEAD, NO_HASH, StatementHash, Tally, is_about_a_value};
use crate::transform::{ColumnKind, ColumnMapping, Origin};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

type Row =
    (String, Option<TimestampWithTimeZone>, Option<TimestampWithTimeZone>, i64, i64, i64, bool);

/// How much of a row is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Count,
    Hash,
}

impl Level {
    fn parse(word: &str) -> Result<Level, Failure> {
        match word {
            "count" => Ok(Level::Count),
            "hash" => Ok(Level::Hash),
            _ => Err(Failure::argument(format!("level => '{word}' is not known"))
                .with_detail("It is 'count' (the numbers of rows) or 'hash' (the statements too).")
                .with_hint("select * from lrs_extract.verify('2025-03-01', '2025-04-01', level => 'hash');")),
        }
    }
}

/// One row a slice of the period, as `plan` lays them out: the rows of the source, of the target
/// and of `reject`, and whether they add up; with the level 'hash', whether their statements are the
/// same too, in whatever order.
/// Nothing is changed, and no lock keeps a pull away: a slice that is not pulled to its end shows
/// as not ok.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn verify(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: default!(Option<String>, "'aidt'"),
    level: default!(Option<String>, "'count'"),
) -> TableIterator<
    'static,
    (
        name!(partition, String),
        name!(from, Option<TimestampWithTimeZone>),
        name!(to, Option<TimestampWithTimeZone>),
        name!(source_rows, i64),
        name!(target_rows, i64),
        name!(rejected_rows, i64),
        name!(ok, bool),
    ),
> {
    TableIterator::new(or_raise(start(from, to, pipeline, level)))
}

fn start(
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    pipeline: Option<String>,
    level: Option<String>,
) -> Result<Verification, Failure> {
    let period = Period::check(from, to)?;
    let pipeline = present(pipeline, "pipeline")?;
    let level = Level::parse(&present(level, "level")?)?;
    check_encoding()?;
    let role = current_role();
    let pipeline = Pipeline::read(&pipeline)?;
    let target = load::describe(&pipeline.target_table, role)?;
    let timestamp = timestamp_column(&pipeline, &target)?;
    let statement = match level {
        Level::Count => None,
        Level::Hash => Some(statement_column(&pipeline, &target)?),
    };
    let connect = connection(&pipeline.server, role)?;
    let conversation = Conversation::new(&connect, "verify");
    let pacing = || Pacing::new(pipeline.care.retries, pipeline.care.retry_delay, 1);
    let question = Question::about(&pipeline, &[], period, Vec::new());
    let layout = conversation.insist(pacing(), move |session| question.ask(session))?;
    layout.reach.tell();
    let conversation = conversation.relying_on(layout.reach.committed_until);
    let hashes = Hashes::of(statement, &layout);
    Ok(Verification {
        source: SourceCount::new(
            conversation,
            pacing(),
            layout.table.for_walk(),
            hashes.source,
            &pipeline.name,
        ),
        target_hash: hashes.target,
        sent_hash: hashes.sent,
        level,
        target,
        timestamp,
        pipeline: pipeline.name,
        slices: layout.slices.into_iter(),
    })
}

/// The target column that has the rows' time, by which they belong to a slice.
fn timestamp_column(pipeline: &Pipeline, target: &Target) -> Result<String, Failure> {
    let whole = |column: &&ColumnMapping| {
        target.column(&column.column).is_some_and(|c| {
            // A precision below microseconds rounds, and may move a row into the next slice.
            pg_sys::Oid::from(c.type_oid) == pg_sys::TIMESTAMPTZOID
                && !(0..6).contains(&c.type_modifier)
        })
    };
    let mut columns = pipeline.mapping.filled_from_source(&pipeline.timestamp_column);
    columns.find(whole).map(|c| c.column.clone()).ok_or_else(|| {
        Failure::new(
            "0A000",
            format!(
                "the mapping fills no timestamptz column of {} from the source's column \"{}\"",
                target.sql_name, pipeline.timestamp_column
            ),
        )
        .with_detail("By it rows of the target are told to belong to a period.")
        .with_hint("Add one to lrs_extract.pipeline.mapping: \"column\": {\"source\": \"…\"}.")
    })
}

/// The mapping of the target column that has the whole statement, as JSON.
fn statement_column(pipeline: &Pipeline, target: &Target) -> Result<ColumnMapping, Failure> {
    let columns = pipeline.mapping.columns.iter();
    for column in columns.filter(|column| column.origin == Origin::Statement) {
        if target.find(&column.column)?.kind != ColumnKind::Other {
            return Ok(column.clone());
        }
    }
    Err(Failure::new(
        "0A000",
        format!(
            "the mapping fills no jsonb, json or text column of {} with the whole statement",
            target.sql_name
        ),
    )
    .with_detail("The level 'hash' compares statements whole.")
    .with_hint(COUNT_INSTEAD))
}

/// The expressions that stand for the statements of many rows, one a side.
struct Hashes {
    source: String,
    target: String,
    /// Over the text of the rejects.
    sent: String,
}

impl Hashes {
    fn of(statement: Option<ColumnMapping>, layout: &Layout) -> Hashes {
        let Some(column) = statement else {
            let [source, target, sent] = [NO_HASH; 3].map(str::to_owned);
            return Hashes { source, target, sent };
        };
        let table = &layout.table;
        let default = column.default.as_deref();
        let hash = StatementHash::new(table.statement_kind, &table.encoding, default);
        Hashes {
            source: hash.of_source(&table.for_walk().statement),
            target: hash.of_target(&quote_identifier(&column.column)),
            sent: hash.of_sent("statement"),
        }
    }
}

/// A verification under way: an iterator over its slices.
struct Verification {
    source: SourceCount,
    target: Target,
    /// The target's column that has the rows' time.
    timestamp: String,
    target_hash: String,
    sent_hash: String,
    pipeline: String,
    level: Level,
    slices: std::vec::IntoIter<PlannedSlice>,
}

impl Iterator for Verification {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let slice = self.slices.next()?;
        Some(or_raise(self.compare(slice)))
    }
}

impl Verification {
    fn compare(&mut self, slice: PlannedSlice) -> Result<Row, Failure> {
        // The stage first: what it refuses needs no work of the source.
        let (target, rejected) = self.count_stage(&slice)?;
        let source = self.source.tally(slice.from, slice.to).map_err(|failure| {
            let place =
                format!("While counting {} from {} to {}.", slice.partition, slice.from, slice.to);
            let detail = failure.detail.clone().map_or(place.clone(), |d| format!("{d} {place}"));
            failure.with_detail(detail)
        })?;
        let mut stage = target;
        stage += rejected;
        Ok((
            slice.partition,
            to_server(slice.from),
            to_server(slice.to),
            source.rows,
            target.rows,
            rejected.rows,
            source == stage,
        ))
    }

    /// Counts the slice's rows in the target and in `reject`.
    fn count_stage(&self, slice: &PlannedSlice) -> Result<(Tally, Tally), Failure> {
        let bound = |t| to_server(t).ok_or_else(|| Failure::internal("a slice without a bound"));
        let (from, to) = (bound(slice.from)?, bound(slice.to)?);
        let _watch = ClientWatch::start()?;
        let count = || {
            let target = load::tally(&self.target, &self.timestamp, &self.target_hash, from, to)?;
            let rejected = ledger::rejected(&self.pipeline, &self.sent_hash, from, to)?;
            Ok((target, rejected))
        };
        if self.level == Level::Count {
            return count();
        }
        catching(count).map_err(|failure| {
            // A text column may hold what is no jsonb.
            let odd = is_about_a_value(&failure.sqlstate);
            if odd { failure.with_hint(COUNT_INSTEAD) } else { failure }
        })
    }
}
