//! Which way what is left of a period is walked, partition by partition.

use super::surveyed_slice::SurveyedSlice;
use super::walk_choice::{POOR_CORRELATION, Way, choose};
use crate::error::Failure;
use crate::ledger::{Pipeline, UnfinishedScan, WalkMode};
use crate::load::Identity;
use crate::slice::{Heap, Interval};
use crate::source::{Costs, KeyStatistics, Leaf, Session, SourceError, Table, index_advice};

/// A stretch of one partition, and how it is walked.
#[derive(Clone, Debug)]
pub struct PlannedWalk {
    pub partition: String,
    pub interval: Interval,
    pub estimated_rows: i64,
    pub warning: Option<String>,
    /// Which way, and why, in words.
    pub reason: Option<String>,
    pub walk: Walk,
}

#[derive(Clone, Debug)]
pub enum Walk {
    /// By pages of the index.
    Key,
    /// By windows of the index, each read in the order of the heap.
    Window,
    Heap {
        /// Of the scan that is continued; `None`: one begins.
        scan_id: Option<i64>,
        heap: Heap,
        /// How many the heap has now.
        blocks: u32,
        /// Ranges of them that are read.
        done: Vec<(u32, u32)>,
    },
}

/// What is to be found out about the walks of a period.
#[derive(Clone)]
pub struct WalkQuery {
    mode: WalkMode,
    /// Why no heap can be scanned, whatever the source is like.
    obstacle: Option<String>,
    unfinished: Vec<UnfinishedScan>,
    pipeline: String,
}

/// Why a heap is not scanned for a target whose rows cannot be known again.
const NEEDS_IDENTITY: &str = "Rows that are updated on the source while a heap is read are looked for in the target, by their time and their statement's id.";

impl WalkQuery {
    /// For the pipeline's choice; `unfinished` are scans that reach into the period, which are
    /// finished first.
    ///
    /// # Errors
    /// 55000 with `again` where there are such, 0A000 where the pipeline chooses what cannot be done.
    pub fn new(
        pipeline: &Pipeline,
        again: bool,
        identity: &Result<Identity, String>,
        unfinished: Vec<UnfinishedScan>,
    ) -> Result<WalkQuery, Failure> {
        if let (true, Some(first)) = (again, unfinished.first()) {
            let interval = first.scan.interval;
            return Err(first.half_read()
            .with_detail("A scan of a heap takes rows in no order of time: which of the period are pulled is known when all its blocks are read.")
            .with_hint(format!(
                "Finish it first, by the same call without again => true, or call lrs_extract.forget('{}', '{}', '{}').",
                interval.from.timestamp(),
                interval.to.timestamp(),
                pipeline.name
            )));
        }
        if let (Err(reason), Some(first)) = (identity, unfinished.first()) {
            return Err(Failure::new(
                "0A000",
                format!(
                    "the scan of the heap of {} that run {} began cannot be continued: {reason}",
                    first.scan.partition, first.run_id
                ),
            )
            .with_detail(NEEDS_IDENTITY));
        }
        let obstacle = match identity {
            _ if again => Some("again => true".to_owned()),
            Err(reason) => Some(reason.clone()),
            Ok(_) => None,
        };
        if let (WalkMode::Heap, Some(obstacle)) = (pipeline.walk, &obstacle) {
            return Err(Failure::new(
                "0A000",
                format!("pipeline \"{}\" cannot walk heaps: {obstacle}", pipeline.name),
            )
            .with_detail(NEEDS_IDENTITY)
            .with_hint("update lrs_extract.pipeline set walk = 'auto' …"));
        }
        Ok(WalkQuery { mode: pipeline.walk, obstacle, unfinished, pipeline: pipeline.name.clone() })
    }

    /// What the unfinished scans are going to cover.
    pub fn intervals(&self) -> impl Iterator<Item = Interval> {
        self.unfinished.iter().map(|unfinished| unfinished.scan.interval)
    }

    /// Whether an unfinished scan has read some of the interval.
    pub fn has_begun(&self, interval: &Interval) -> bool {
        self.intervals().any(|begun| !begun.intersect(interval).is_empty())
    }

    /// Asks the source, and writes into each slice which way it is walked.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it; 55000 where a scan cannot be continued.
    pub fn run(
        &self,
        table: &Table,
        slices: &mut [SurveyedSlice],
        session: &mut Session,
    ) -> Result<Vec<PlannedWalk>, SourceError> {
        let mut walks = Vec::new();
        for unfinished in &self.unfinished {
            walks.push(self.continued(unfinished, table, slices, session)?);
        }
        let statistics = table.key_statistics(session)?;
        let costs = Costs::ask(session, table.version)?;
        let mut rest = slices;
        while !rest.is_empty() {
            let same = same_partition(rest);
            let (group, later) = rest.split_at_mut(same);
            rest = later;
            let partition = group[0].planned.partition.clone();
            let key = statistics.iter().find(|(name, _)| *name == partition).map(|(_, key)| *key);
            let leaf = match table.oids(&partition) {
                Some((table, relation)) => Leaf::ask(session, relation, table)?,
                None => None,
            };
            self.walks_of(group, table, leaf, key, costs, &mut walks)?;
        }
        Ok(walks)
    }

    /// The walk that goes on with an unfinished scan.
    fn continued(
        &self,
        unfinished: &UnfinishedScan,
        table: &Table,
        slices: &mut [SurveyedSlice],
        session: &mut Session,
    ) -> Result<PlannedWalk, SourceError> {
        let scan = &unfinished.scan;
        let leaf = Leaf::ask(session, scan.heap.relation, scan.heap.relation)?
            .filter(|leaf| leaf.heap.filenode == scan.heap.filenode)
            .filter(|_| {
                table.oids(&scan.partition).is_some_and(|(_, oid)| oid == scan.heap.relation)
            })
            .ok_or_else(|| self.lost(unfinished))?;
        let mut estimated_rows = 0;
        let reason = format!("by heap: run {} has begun to read it", unfinished.run_id);
        for slice in slices {
            if !scan.interval.intersect(&slice.planned.whole()).is_empty() {
                estimated_rows += slice.estimate.rows;
                slice.way = Some(reason.clone());
            }
        }
        Ok(PlannedWalk {
            partition: scan.partition.clone(),
            interval: scan.interval,
            estimated_rows,
            warning: None,
            reason: Some(reason),
            walk: Walk::Heap {
                scan_id: Some(scan.scan_id),
                heap: scan.heap.clone(),
                blocks: leaf.blocks,
                done: unfinished.done.clone(),
            },
        })
    }

    fn lost(&self, unfinished: &UnfinishedScan) -> SourceError {
        let scan = &unfinished.scan;
        let (from, to) = (scan.interval.from.timestamp(), scan.interval.to.timestamp());
        SourceError {
            detail: Some(format!(
                "Run {} read some of its blocks. Its rows have other places now, so those that were pulled from {from} to {to} cannot be told from those that were not.",
                unfinished.run_id
            )),
            ..SourceError::permanent(
                "continue the scan of a heap",
                "55000",
                format!("{} was rewritten, dropped or detached since", scan.partition),
            )
        }
        .with_hint(format!(
            "VACUUM FULL, CLUSTER, pg_repack or TRUNCATE does that. Delete the rows of that period from the target, then select lrs_extract.forget('{from}', '{to}', '{}'); and pull it again.",
            self.pipeline
        ))
    }

    /// Adds the walks of one partition's slices.
    fn walks_of(
        &self,
        group: &mut [SurveyedSlice],
        table: &Table,
        leaf: Option<Leaf>,
        key: Option<KeyStatistics>,
        costs: Costs,
        walks: &mut Vec<PlannedWalk>,
    ) -> Result<(), SourceError> {
        let rows: i64 =
            group.iter().filter(|s| !s.planned.left.is_empty()).map(|s| s.estimate.rows).sum();
        let index = group.iter().map(|slice| slice.estimate.index).max().unwrap_or_default();
        let choice =
            leaf.as_ref().map(|leaf| choose(self.mode(), leaf, key, rows as f64, costs, index));
        if let (WalkMode::Heap, Some(obstacle)) =
            (self.mode, leaf.as_ref().and_then(|leaf| leaf.obstacle))
        {
            return Err(SourceError::permanent(
                "walk a heap",
                "0A000",
                format!(
                    "{} has no heap to be read block by block: {obstacle}",
                    group[0].planned.partition
                ),
            )
            .with_hint("update lrs_extract.pipeline set walk = 'auto' …"));
        }
        let way = choice.as_ref().map_or(Way::Key, |choice| choice.way);
        let reason = choice.as_ref().map(|choice| match &self.obstacle {
            Some(obstacle) => format!("{}; not by heap: {obstacle}", choice.reason),
            None => choice.reason.clone(),
        });
        for slice in group.iter_mut() {
            if way != Way::Heap {
                slice.warning = warning(slice, key.map(|key| key.correlation), table, self.mode);
            }
            if !slice.planned.left.is_empty() {
                slice.way.clone_from(&reason);
            }
        }
        let first_warning = group.iter().find_map(|slice| slice.warning.clone());
        let pieces = group
            .iter()
            .flat_map(|slice| slice.planned.left.iter().map(|left| (*left, slice.estimate.rows)));
        let walk = |interval, estimated_rows, walk| PlannedWalk {
            partition: group[0].planned.partition.clone(),
            interval,
            estimated_rows,
            warning: first_warning.clone(),
            reason: reason.clone(),
            walk,
        };
        match leaf {
            Some(leaf) if way == Way::Heap => {
                for (interval, rows) in adjacent(pieces) {
                    let heap = Walk::Heap {
                        scan_id: None,
                        heap: leaf.heap.clone(),
                        blocks: leaf.blocks,
                        done: Vec::new(),
                    };
                    walks.push(walk(interval, rows, heap));
                }
            }
            _ => {
                let by_key = if way == Way::Window { Walk::Window } else { Walk::Key };
                walks.extend(pieces.map(|(interval, rows)| walk(interval, rows, by_key.clone())));
            }
        }
        Ok(())
    }

    fn mode(&self) -> WalkMode {
        if self.obstacle.is_some() { WalkMode::Key } else { self.mode }
    }
}

/// How many slices at the begin are of the same partition.
fn same_partition(slices: &[SurveyedSlice]) -> usize {
    let first = &slices[0].planned.partition;
    slices.iter().take_while(|slice| slice.planned.partition == *first).count()
}

/// Joins intervals that follow each other without a gap; their rows add up.
fn adjacent(pieces: impl Iterator<Item = (Interval, i64)>) -> Vec<(Interval, i64)> {
    let mut joined: Vec<(Interval, i64)> = Vec::new();
    for (interval, rows) in pieces {
        match joined.last_mut() {
            Some((last, sum)) if last.to == interval.from => {
                last.to = interval.to;
                *sum += rows;
            }
            _ => joined.push((interval, rows)),
        }
    }
    joined
}

fn warning(
    slice: &SurveyedSlice,
    correlation: Option<f32>,
    table: &Table,
    mode: WalkMode,
) -> Option<String> {
    if let Some(lacking) = slice.estimate.index.lacking() {
        return Some(format!("{lacking}. {}", index_advice(table, &[&slice.planned.partition])));
    }
    let correlation = correlation?;
    let way_out = match mode {
        WalkMode::Key => {
            "With walk = 'auto', the heap is read in its own order where that costs less"
        }
        WalkMode::Auto | WalkMode::Heap => {
            "That it costs less than the heap is reckoned with the source's random_page_cost and effective_cache_size: set them to what its storage is"
        }
    };
    (f64::from(correlation.abs()) < POOR_CORRELATION).then(|| {
        format!(
            "heap order and key order disagree (correlation {correlation:.2}): the walk reads at random; expect it to be slow on cold or spinning storage. {way_out}"
        )
    })
}
