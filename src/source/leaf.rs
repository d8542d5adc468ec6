//! A partition that holds rows itself: what decides how it is walked, and what a scan of its heap is
//! known by.

use super::connect::Session;
use super::error::SourceError;
use super::heap_page::scans_ranges;
use crate::slice::Heap;
use postgres::types::Type;

/// A partition as the source has it now.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Why its heap cannot be read block by block; `None` where it can.
    pub obstacle: Option<&'static str>,
    pub heap: Heap,
    pub blocks: u32,
    /// By the source's statistics; below zero where there are none.
    pub rows: f64,
    /// The transaction that comes next.
    pub next_transaction: i64,
}

/// What the source's planner reckons with.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Of a block that follows the one before.
    pub seq_page: f64,
    /// Of any other.
    pub random_page: f64,
    /// Of a block of a walk by heap.
    pub heap_page: f64,
    /// Blocks that the source is thought to hold in memory.
    pub cached_blocks: f64,
}

const ACTION: &str = "read a partition's description";
/// What the names of a block's places cost, in blocks read in order.
const PLACES: f64 = 0.5;

impl Leaf {
    /// Asks for the partition of that oid, of the table of oid `table`; `None` when it is gone.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn ask(
        session: &mut Session,
        relation: u32,
        table: u32,
    ) -> Result<Option<Leaf>, SourceError> {
        let failed = |e| SourceError::from_client(ACTION, &e);
        let sql = include_str!("../../sql/source/leaf.sql");
        let rows =
            session.query(sql, &[(&relation, Type::OID), (&table, Type::OID)]).map_err(failed)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let flag = |name: &str| row.try_get::<_, Option<bool>>(name).map_err(failed);
        let obstacles = [
            (flag("is_heap")? != Some(true), "it is not a plain table"),
            (flag("has_children")? == Some(true), "other tables inherit from it"),
            (
                flag("may_select")? != Some(true),
                "the user may not select from the partition itself",
            ),
            (flag("row_security")? == Some(true), "row security applies"),
        ];
        let filenode: Option<u32> = row.try_get("filenode").map_err(failed)?;
        Ok(Some(Leaf {
            obstacle: obstacles.into_iter().find(|(there, _)| *there).map(|(_, what)| what),
            heap: Heap {
                relation,
                filenode: filenode.unwrap_or(0),
                horizon: row.try_get("oldest_running").map_err(failed)?,
                updates: row.try_get("updates").map_err(failed)?,
            },
            blocks: u32::try_from(row.try_get::<_, i64>("blocks").map_err(failed)?).unwrap_or(0),
            rows: row.try_get("rows").map_err(failed)?,
            next_transaction: row.try_get("next_transaction").map_err(failed)?,
        }))
    }
}

impl Costs {
    /// Asks a server of this `server_version_num` for them.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn ask(session: &mut Session, version: i32) -> Result<Costs, SourceError> {
        let failed = |e| SourceError::from_client(ACTION, &e);
        let sql = include_str!("../../sql/source/costs.sql");
        let row = session.one(ACTION, sql)?;
        let seq_page: f64 = row.try_get("seq_page_cost").map_err(failed)?;
        Ok(Costs {
            seq_page,
            heap_page: seq_page + if scans_ranges(version) { 0.0 } else { PLACES },
            random_page: row.try_get("random_page_cost").map_err(failed)?,
            cached_blocks: row.try_get::<_, i64>("cached_blocks").map_err(failed)? as f64,
        })
    }
}
