//! The walk in the order of the heap: block range after block range, and at the end of a scan what was
//! written meanwhile.
//!
//! A scan takes row versions older than its horizon, each from its one place: no row comes twice,
//! whatever is written beside it. What can be missed is a row that an update moved, before its block
//! was read, into a block that had been read. So when all blocks are read and anything may have been
//! updated, the source is asked, in one snapshot, where it has newer versions; all rows at those
//! timestamps are handed over once more, to be held against the target.

use super::chunk::{ChunkBuilder, Order, RawChunk, Recheck};
use super::describe::WalkTable;
use super::error::{SourceError, Trouble};
use super::heap_page::{self, Part};
use super::leaf::Leaf;
use super::page_reader::{PageRead, PageReader};
use super::salvage::salvage;
use super::session_sql::Mode;
use super::walk_request::BatchEnd;
use crate::slice::{Blocks, HeapScan, Key, Position};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Rows that a block is thought to have before the first page, and blocks of that page at most.
const GUESS: u64 = 16;
const FIRST_BLOCKS: u32 = 64;
/// Blocks of the largest page, and where each of their places is named: some 3 MB of names.
const MOST_BLOCKS: u32 = 8_192;
const MOST_BLOCKS_BY_PLACE: u32 = 1_024;
/// In how many parts the rows of one timestamp are read at most, where they are too many.
const MOST_PARTS: i64 = 1 << 16;
/// How fast a heap is read in order, for comparing that with a wait.
const BLOCKS_A_SECOND: u64 = 10_000;

/// Walks `blocks`; returns the end of the last batch, which is left to be handed over. `None` when
/// nobody wants the rest.
///
/// # Errors
/// [`SourceError`] as met; 55000 when the heap was rewritten.
pub(super) fn walk(
    reader: &mut PageReader<'_>,
    scan: &HeapScan,
    blocks: Blocks,
    new_versions: bool,
) -> Result<Option<BatchEnd>, SourceError> {
    let mut walk = HeapWalk {
        scan,
        position: blocks.from,
        end: blocks.to.unwrap_or(blocks.from),
        rows_a_block: None,
        bytes_a_block: 0.0,
        last_blocks: FIRST_BLOCKS / 4,
    };
    let mut met_new_versions = new_versions;
    let leaf = walk.ask_leaf(reader)?;
    if leaf.heap.horizon < scan.heap.horizon {
        return Err(SourceError::transient(
            "walk a heap",
            "57P03",
            "the source does not show all that it showed when the scan began",
        )
        .with_hint("It is a standby that was restarted, or another one. Once it has caught up, the same call continues from there."));
    }
    loop {
        reader.session.set_mode(Mode::Heap)?;
        let batch = walk.read_batch(reader)?;
        met_new_versions |= batch.new_versions > 0;
        // What was read of another file must not be committed.
        let leaf = walk.ask_leaf(reader)?;
        if walk.position >= walk.end && blocks.to.is_none() && leaf.blocks > walk.end {
            walk.end = leaf.blocks;
        }
        let mut end = BatchEnd {
            position: Position::Block(walk.position),
            last: batch.last,
            done: walk.position >= walk.end,
            new_versions: batch.new_versions,
        };
        if !end.done {
            if !reader.end_batch(end) {
                return Ok(None);
            }
            continue;
        }
        if blocks.to.is_none() {
            if met_new_versions || walk.may_have_missed(reader, &leaf)? {
                let Some(rest) = walk.recheck(reader, end)? else { return Ok(None) };
                end = rest;
                walk.ask_leaf(reader)?;
            }
            end.position = Position::Key(scan.interval.to);
        }
        return Ok(Some(end));
    }
}

struct HeapWalk<'a> {
    scan: &'a HeapScan,
    /// The next block.
    position: u32,
    /// The block after the last one, as far as known.
    end: u32,
    /// Of the last page; `None` before the first.
    rows_a_block: Option<f64>,
    bytes_a_block: f64,
    last_blocks: u32,
}

/// What was read of a batch.
#[derive(Default)]
struct BatchRead {
    rows: u64,
    last: Option<Key>,
    new_versions: u64,
}

impl HeapWalk<'_> {
    fn read_batch(&mut self, reader: &mut PageReader<'_>) -> Result<BatchRead, SourceError> {
        let mut batch = BatchRead::default();
        while batch.rows < reader.batch() && self.position < self.end {
            let count = self.next_blocks(reader, reader.batch() - batch.rows);
            let expected = (f64::from(count) * self.bytes_a_block) as u64;
            let mut to = self.position.saturating_add(count).min(self.end);
            let page = if reader.request.careful {
                self.read_with_care(reader, &mut to)?
            } else {
                let room = reader.await_turn(expected.max(1))?;
                let table = &reader.request.table;
                let (sql, parameters) = heap_page::blocks(table, self.scan, self.position, to);
                let builder = ChunkBuilder::new(table.statement_kind, Order::Heap);
                reader.read(&sql, &parameters, builder, room)?
            };
            let (rows, read) = (page.builder.rows(), f64::from(to - self.position));
            reader.request.throttle.note_page(rows, page.bytes);
            self.rows_a_block = Some(rows as f64 / read);
            self.bytes_a_block = page.bytes as f64 / read;
            self.last_blocks = count;
            self.position = to;
            batch.rows += rows;
            batch.new_versions += page.builder.new_versions();
            batch.last = page.builder.last_key()?.or(batch.last);
        }
        Ok(batch)
    }

    /// Reads the blocks up to `to`, or fewer of them where a row of theirs cannot be sent: in the end one,
    /// whose rows are handed over one by one, such a one with its key alone.
    fn read_with_care(
        &self,
        reader: &mut PageReader<'_>,
        to: &mut u32,
    ) -> Result<PageRead, SourceError> {
        let table = &reader.request.table;
        loop {
            let query = |table: &WalkTable| heap_page::blocks(table, self.scan, self.position, *to);
            let (sql, parameters) = query(table);
            let mut builder = ChunkBuilder::new(table.statement_kind, Order::Heap);
            let single = *to - self.position <= 1;
            let bytes = match reader.collect(&sql, &parameters, &mut builder) {
                Ok(Some(chunk)) => {
                    let bytes = chunk.wire_bytes as u64;
                    reader.give_whole(chunk)?;
                    bytes
                }
                Ok(None) if single => {
                    let room = reader.await_turn(reader.budget.page() as u64)?;
                    builder = ChunkBuilder::new(table.statement_kind, Order::Heap);
                    return reader.read(&sql, &parameters, builder, room);
                }
                Err(error) if error.is_damage() && single => {
                    builder = ChunkBuilder::new(table.statement_kind, Order::Heap);
                    salvage(reader, &mut builder, error, &query)?
                }
                Err(error) if !error.is_damage() => return Err(error),
                Ok(None) | Err(_) => {
                    *to = self.position + (*to - self.position) / 2;
                    continue;
                }
            };
            return Ok(PageRead { builder, bytes });
        }
    }

    /// How many blocks to ask for, of a batch that lacks `rows`.
    fn next_blocks(&self, reader: &PageReader<'_>, rows: u64) -> u32 {
        let most = match heap_page::scans_ranges(reader.request.table.version) {
            true => MOST_BLOCKS,
            false => MOST_BLOCKS_BY_PLACE,
        };
        let most = reader.request.throttle.scaled(most, reader.batch());
        let Some(rows_a_block) = self.rows_a_block else {
            let first = u32::try_from(rows / GUESS).unwrap_or(FIRST_BLOCKS);
            return first.clamp(1, FIRST_BLOCKS.min(most));
        };
        // Where blocks without rows were, blocks full of them may follow.
        let grown = self.last_blocks.saturating_mul(4).min(most);
        let size = reader.page_size(rows);
        let wanted = (size.rows as f64 / rows_a_block).ceil();
        (wanted.min(f64::from(grown)) as u32).max(1)
    }

    /// The partition as it is now.
    ///
    /// # Errors
    /// 55000 when its heap is not the one that the scan began with.
    fn ask_leaf(&self, reader: &mut PageReader<'_>) -> Result<Leaf, SourceError> {
        let heap = &self.scan.heap;
        match Leaf::ask(&mut reader.session, heap.relation, heap.relation)? {
            Some(leaf) if leaf.heap.filenode == heap.filenode => Ok(leaf),
            _ => Err(rewritten(self.scan)),
        }
    }

    /// Whether a row may have been updated since the scan began. The source counts updates, but a
    /// session tells of its own only some time after they are committed.
    fn may_have_missed(
        &self,
        reader: &mut PageReader<'_>,
        leaf: &Leaf,
    ) -> Result<bool, SourceError> {
        let heap = &self.scan.heap;
        if leaf.next_transaction == heap.horizon {
            // Nothing was running then, and nothing has begun since.
            return Ok(false);
        }
        let counted = |now: &Leaf| now.heap.updates.is_none() || now.heap.updates != heap.updates;
        let wait = until_counted(reader.request.table.version);
        if counted(leaf) || u64::from(leaf.blocks) < wait.as_secs() * BLOCKS_A_SECOND {
            return Ok(true);
        }
        reader.budget.idle(wait)?;
        Ok(counted(&self.ask_leaf(reader)?))
    }

    /// Hands over all rows at timestamps where the source has newer versions, in batches that begin
    /// with the one that ends at `end`; returns the end of the last. Each leaves the walk where it is:
    /// what was interrupted begins again, and finds what is there. `None` when nobody wants the rest.
    fn recheck(
        &self,
        reader: &mut PageReader<'_>,
        mut end: BatchEnd,
    ) -> Result<Option<BatchEnd>, SourceError> {
        // As long as a pause is asked for, this waits too.
        drop(reader.await_turn(0)?);
        reader.session.set_mode(Mode::Scan)?;
        let (sql, parameters) = heap_page::new_timestamps(&reader.request.table, self.scan);
        let mut times = reader
            .session
            .timestamps(&sql, &parameters)
            .map_err(|error| too_long(self.scan, error))?;
        times.sort_unstable();
        reader.session.set_mode(Mode::Key)?;
        let mut rows = 0;
        let mut rest = times.as_slice();
        while !rest.is_empty() {
            if rows >= reader.batch() {
                if !reader.end_batch(BatchEnd { done: false, ..end }) {
                    return Ok(None);
                }
                end = BatchEnd { last: None, new_versions: 0, ..end };
                rows = 0;
            }
            let size = reader.page_size(reader.batch() - rows).rows;
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(size.min(rest.len()));
            let read = self.recheck_at(reader, now)?;
            rows += read.rows;
            end.last = read.last.or(end.last);
            rest = later;
        }
        Ok(Some(end))
    }

    /// Hands over all rows at these timestamps, in chunks that hold all rows of theirs.
    fn recheck_at(
        &self,
        reader: &mut PageReader<'_>,
        times: &[DateTime<Utc>],
    ) -> Result<BatchRead, SourceError> {
        if let Some(read) = self.recheck_part(reader, times, None, Recheck::Begin)? {
            return Ok(read);
        }
        if let [time] = times {
            return self.recheck_in_parts(reader, *time);
        }
        let (first, second) = times.split_at(times.len() / 2);
        let (first, second) = (self.recheck_at(reader, first)?, self.recheck_at(reader, second)?);
        Ok(BatchRead {
            rows: first.rows + second.rows,
            last: second.last.or(first.last),
            new_versions: 0,
        })
    }

    /// The same for a timestamp with more rows than a page may have: by the ids of their statements, so
    /// that those which are compared come together.
    fn recheck_in_parts(
        &self,
        reader: &mut PageReader<'_>,
        time: DateTime<Utc>,
    ) -> Result<BatchRead, SourceError> {
        let mut all = BatchRead::default();
        let mut open = vec![Part { of: 1, part: 0 }];
        while let Some(whole) = open.pop() {
            if whole.of == MOST_PARTS {
                return self.too_many_rows(time);
            }
            for part in whole.parts() {
                // Parts without rows are not handed over.
                let recheck = if all.rows == 0 { Recheck::Begin } else { Recheck::Further };
                match self.recheck_part(reader, &[time], Some(part), recheck)? {
                    Some(read) => {
                        all.rows += read.rows;
                        all.last = read.last.or(all.last);
                    }
                    None => open.push(part),
                }
            }
        }
        Ok(all)
    }

    fn too_many_rows<T>(&self, time: DateTime<Utc>) -> Result<T, SourceError> {
        Err(SourceError::permanent(
            "look for rows that were updated during the scan",
            "54000",
            format!("{} has too many rows at {time} with one id", self.scan.partition),
        )
        .with_hint("Raise lrs_extract.worker_memory, so that they fit."))
    }

    /// Hands rows at these timestamps over, or a part of them; `None` where they are more than a page.
    fn recheck_part(
        &self,
        reader: &mut PageReader<'_>,
        times: &[DateTime<Utc>],
        part: Option<Part>,
        recheck: Recheck,
    ) -> Result<Option<BatchRead>, SourceError> {
        let table = &reader.request.table;
        let (sql, parameters) = heap_page::at(table, self.scan, times, part);
        let mut builder = ChunkBuilder::new(table.statement_kind, Order::Key);
        let Some(chunk) = reader.collect(&sql, &parameters, &mut builder)? else {
            return Ok(None);
        };
        let last = builder.last_key()?;
        let rows = chunk.rows.len() as u64;
        reader.give_whole(RawChunk { recheck, ..chunk })?;
        Ok(Some(BatchRead { rows, last, new_versions: 0 }))
    }
}

/// How long a session keeps its counts to itself when it does nothing more: PGSTAT_STAT_INTERVAL
/// before 15, when the collector is told at the end of a transaction; PGSTAT_IDLE_INTERVAL since
/// (src/backend/postmaster/pgstat.c, src/backend/utils/activity/pgstat.c).
fn until_counted(version: i32) -> Duration {
    if version < 150_000 { Duration::from_secs(2) } else { Duration::from_secs(11) }
}

/// No smaller page helps: in several snapshots, rows would move past the look again.
fn too_long(scan: &HeapScan, error: SourceError) -> SourceError {
    match error.trouble {
        Trouble::StatementTimeout => SourceError {
            trouble: Trouble::Permanent,
            detail: Some(format!(
                "All blocks of {} are read and stay. Rows may have been updated meanwhile; one statement looks for them, which reads the partition from its begin to its end.",
                scan.partition
            )),
            ..error
        }
        .with_hint("Raise the option statement_timeout for it: alter server … options (set statement_timeout '…'); and on the source that of the role or the database, where one is stricter. The same call continues from there."),
        _ => error,
    }
}

fn rewritten(scan: &HeapScan) -> SourceError {
    SourceError {
        detail: Some(format!(
            "Its rows have other places now, so those that were pulled from {} to {} cannot be told from those that were not.",
            scan.interval.from.timestamp(),
            scan.interval.to.timestamp(),
        )),
        ..SourceError::permanent(
            "walk a heap",
            "55000",
            format!("{} was rewritten or dropped while its heap was being read", scan.partition),
        )
    }
    .with_hint("VACUUM FULL, CLUSTER, pg_repack or TRUNCATE does that. Delete the rows of that period from the target, call lrs_extract.forget for it, and pull it again.")
}
