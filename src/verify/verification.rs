//! The slices of a period compared, by the caller's backend or by workers.

use super::comparer::{Comparison, SliceComparer, VerifiedSlice};
use super::level::Level;
use super::parallel::{VerifyRequest, Workers};
use super::queries::{Queries, Within};
use super::sides::{Compared, Ids, Sides, statement_column};
use crate::backend::role::{check_encoding, current_role};
use crate::backend::time::Period;
use crate::error::{Failure, notice, warning};
use crate::ledger::Pipeline;
use crate::load;
use crate::plan::{Coverage, LayoutQuery, directions, runs_that_count};
use crate::pool::{Caller, WorkerPool};
use crate::slice::{Edge, Interval};
use crate::source::{Digest, KeyIndex, TYPICAL_PAGE, TimeRange, estimates};
use crate::threads::{FirstConnection, RetryPolicy, SourceClient};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often the caller hears how long it will take.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What is verified, and how.
pub struct VerifyArguments {
    pub pipeline: String,
    pub period: Period,
    pub level: Level,
    /// Workers; 1: the caller's own backend.
    pub jobs: u16,
    /// Differing rows that are shown, with [`Level::Keys`].
    pub max_rows: usize,
}

/// A verification under way: an iterator over slices, or over the rows that differ.
pub struct Verification {
    comparer: SliceComparer<'static>,
    workers: Option<Workers>,
    slices: Vec<VerifiedSlice>,
    /// The next to be compared.
    next: usize,
    level: Level,
    /// Differing rows that may still be shown.
    rows_left: usize,
    queue: VecDeque<Comparison>,
    progress: Progress,
}

impl Verification {
    /// Prepares a verification. `pool` is empty, and lives in the memory context of the call.
    ///
    /// # Errors
    /// [`Failure`] for whatever keeps it from starting.
    pub fn start(
        arguments: &VerifyArguments,
        pool: *mut WorkerPool,
    ) -> Result<Verification, Failure> {
        check_encoding()?;
        let role = current_role();
        let pipeline = Pipeline::read(&arguments.pipeline)?;
        let target = load::describe(&pipeline.target_table, role)?;
        load::check_nothing_prepared(&target)?;
        let hashed = arguments.level != Level::Count;
        let statement = if hashed { Some(statement_column(&pipeline, &target)?) } else { None };
        let client = SourceClient::new(directions(&pipeline.server, role), "verify")?;
        let retry = || RetryPolicy::of(&pipeline.source_limits);
        let query = LayoutQuery::new(&pipeline, &[], arguments.period, Coverage::default());
        let stage = load::stage_digest()?;
        // Only many small ranges need an index.
        let page = (arguments.level == Level::Keys).then_some(TYPICAL_PAGE);
        let (layout, digest, estimates) =
            client.call_with_retry(retry(), FirstConnection::Once, move |session| {
                let layout = query.run(session)?;
                let interval = |from, to| Interval::new(Edge::Before(from), Edge::Before(to));
                let intervals: Vec<_> =
                    layout.slices.iter().map(|slice| interval(slice.from, slice.to)).collect();
                let table = layout.table.for_walk();
                let estimates = estimates(session, &table, &intervals, page)?;
                Ok((layout, Digest::of_both(stage, session)?, estimates))
            })?;
        layout.notify();
        let until = layout.settled.committed_until;
        let table = layout.table.for_walk();
        let compared = Compared {
            pipeline: &pipeline,
            target: &target,
            table: &table,
            encoding: &layout.table.encoding,
            digest,
            source_has_index: estimates.iter().all(|one| one.index != KeyIndex::Missing),
            runs: &runs_that_count(&pipeline, &target)?,
        };
        let sides = Sides::of(&compared, statement.as_ref(), Ids::Whole)?;
        let slices: Vec<_> = layout
            .slices
            .into_iter()
            .zip(estimates)
            .map(|(slice, estimate)| VerifiedSlice {
                partition: slice.partition,
                range: TimeRange { from: slice.from, to: slice.to },
                estimated_rows: estimate.rows,
            })
            .collect();
        let jobs = usize::from(arguments.jobs).min(slices.len());
        let workers = if jobs > 1 {
            target.check_seen_by_workers()?;
            let request = VerifyRequest {
                caller: Caller::of_this_session()?,
                pipeline: pipeline.name.clone(),
                server: pipeline.server.clone(),
                source_limits: pipeline.source_limits.clone(),
                committed_until: until,
                sides: sides.clone(),
                table: table.clone(),
                target: target.sql_name.clone(),
                hashed,
                slices: slices.clone(),
            };
            Some(Workers::start(pool, &request, jobs)?)
        } else {
            None
        };
        let inquiry =
            Queries::new(client.relying_on(until), retry(), &pipeline.name, Within::Caller);
        let warn = Box::new(|text: &str| warning(text));
        Ok(Verification {
            comparer: SliceComparer::new(inquiry, sides, table, target.sql_name, hashed, warn),
            workers,
            progress: Progress::new(&slices),
            slices,
            next: 0,
            level: arguments.level,
            rows_left: arguments.max_rows,
            queue: VecDeque::new(),
        })
    }

    /// The next slice, or the next row that differs; `None` at the end.
    ///
    /// # Errors
    /// [`Failure`] when one side cannot be counted.
    pub fn next_comparison(&mut self) -> Result<Option<Comparison>, Failure> {
        loop {
            if let Some(comparison) = self.queue.pop_front() {
                return Ok(Some(comparison));
            }
            let Some(slice) = self.slices.get(self.next).cloned() else { return Ok(None) };
            self.next += 1;
            let comparison = match &mut self.workers {
                Some(workers) => workers.comparison(self.next, &slice)?,
                None => self.comparer.compare(&slice)?,
            };
            self.progress.tell(&slice, self.next, self.slices.len());
            if self.level != Level::Keys {
                return Ok(Some(comparison));
            }
            if !comparison.ok {
                self.show_rows(&slice)?;
            }
        }
    }

    fn show_rows(&mut self, slice: &VerifiedSlice) -> Result<(), Failure> {
        let (rows, more) = self.comparer.differing_rows(slice, self.rows_left)?;
        self.rows_left -= rows.len();
        self.queue.extend(rows);
        if more || self.rows_left == 0 && self.next < self.slices.len() {
            warning(&format!(
                "max_rows rows are shown, and the rest from {} on is not looked into; verify with the level 'hash' shows which slices differ",
                slice.range.from
            ));
            self.next = self.slices.len();
        }
        Ok(())
    }
}

/// How far a verification is, by the source's estimates.
struct Progress {
    begun: Instant,
    told: Instant,
    estimated: i64,
    done: i64,
}

impl Progress {
    fn new(slices: &[VerifiedSlice]) -> Progress {
        let estimated = slices.iter().map(|slice| slice.estimated_rows.max(1)).sum();
        Progress { begun: Instant::now(), told: Instant::now(), estimated, done: 0 }
    }

    fn tell(&mut self, slice: &VerifiedSlice, compared: usize, all: usize) {
        self.done += slice.estimated_rows.max(1);
        if self.told.elapsed() < TELL_EVERY || compared == all {
            return;
        }
        self.told = Instant::now();
        let share = self.done as f64 / self.estimated.max(1) as f64;
        let left = self.begun.elapsed().as_secs_f64() * (1.0 - share) / share.max(0.001);
        notice(&format!(
            "{compared} of {all} slices compared, {:.0} % of the estimated rows, about {left:.0} s left",
            share * 100.0
        ));
    }
}
