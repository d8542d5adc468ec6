//! How far a run is, for the NOTICE at the end of each slice.

use super::request::PullRequest;
use crate::ledger::Batch;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The estimates of the plan against what has come.
pub struct Progress {
    begun: Instant,
    slices: HashMap<i32, SliceProgress>,
    estimated: i64,
    done: i64,
    target: String,
    warned: bool,
}

#[derive(Default)]
struct SliceProgress {
    label: String,
    estimated: i64,
    rows: i64,
    rejected: i64,
    skipped: i64,
    /// Whether it is compared with the source.
    compared: bool,
    /// Ranges of it that differed, and rows that were deleted there.
    ranges: i64,
    deleted: i64,
}

impl Progress {
    pub fn new(request: &PullRequest) -> Self {
        let slices: HashMap<i32, SliceProgress> = request
            .slices
            .iter()
            .map(|slice| {
                let label = format!(
                    "{} [{}, {})",
                    slice.partition,
                    slice.interval.from.timestamp(),
                    slice.interval.to.timestamp()
                );
                let estimated = slice.estimated_rows.max(1);
                (
                    slice.slice_no,
                    SliceProgress {
                        label,
                        estimated,
                        compared: slice.compared,
                        ..SliceProgress::default()
                    },
                )
            })
            .collect();
        let estimated = slices.values().map(|s| s.estimated).sum();
        Progress {
            begun: Instant::now(),
            slices,
            estimated,
            done: 0,
            target: request.target.sql_name.clone(),
            warned: false,
        }
    }

    /// Once a run, the text of a WARNING where the target did not take each row of a batch.
    pub fn warning(&mut self, batch: &Batch) -> Option<String> {
        let taken_away = batch.read - batch.rows - batch.rejected - batch.skipped;
        if taken_away <= 0 || self.warned {
            return None;
        }
        self.warned = true;
        Some(format!(
            "{taken_away} of {} rows of batch {} were neither inserted nor rejected: a trigger or a rule of {} took them away, or put them elsewhere: lrs_extract.verify tells which; runs.rows_read counts what was read",
            batch.read, batch.batch_no, self.target
        ))
    }

    /// Adds a batch; at the end of a slice, returns the text of its NOTICE.
    pub fn add(&mut self, batch: &Batch) -> Option<String> {
        let slice = self.slices.get_mut(&batch.slice_no)?;
        slice.rows += batch.rows;
        slice.rejected += batch.rejected;
        slice.skipped += batch.skipped;
        if let Some(range) = &batch.range {
            slice.ranges += 1;
            slice.deleted += range.deleted;
        }
        if !batch.slice_done {
            return None;
        }
        self.done += slice.estimated;
        let share = self.done as f64 / self.estimated.max(1) as f64;
        let passed = self.begun.elapsed();
        let rows: i64 = self.slices.values().map(|s| s.rows).sum();
        let slice = self.slices.get(&batch.slice_no)?;
        let rejected = match slice.rejected {
            0 => String::new(),
            n => format!(", {n} rejected"),
        };
        let skipped = match slice.skipped {
            0 => String::new(),
            n => format!(", {n} skipped"),
        };
        let left = words(passed.mul_f64(((1.0 - share) / share.max(0.001)).max(0.0)));
        let done = share * 100.0;
        if slice.compared {
            let deleted = match slice.deleted {
                0 => String::new(),
                n => format!(", {n} deleted"),
            };
            return Some(format!(
                "{}: compared, {} ranges differed, {} rows pulled{rejected}{skipped}{deleted}; {done:.0} % done, {left} left",
                slice.label, slice.ranges, slice.rows,
            ));
        }
        Some(format!(
            "{}: {} rows{rejected}{skipped}; {:.0} rows/s, {done:.0} % done, {left} left",
            slice.label,
            slice.rows,
            rows as f64 / passed.as_secs_f64().max(0.001),
        ))
    }
}

fn words(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_words() {
        assert_eq!(words(Duration::from_secs(59)), "59 s");
        assert_eq!(words(Duration::from_secs(61)), "1 min 1 s");
        assert_eq!(words(Duration::from_secs(7_260)), "2 h 1 min");
    }
}
