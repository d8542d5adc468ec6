//! Runs as they happen, for tests and for looking at a report: five months pulled by two workers.
//! The same arguments make the same run.

#![allow(dead_code, reason = "tests and the example each use a part")]

use super::{Batch, Facts, Index, RejectGroup, Run, RunState, Shares, Slice, SliceState, Stage};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::collections::HashMap;

const BATCH_ROWS: i64 = 50_000;

fn day(month: u32, day: u32) -> DateTime<Utc> {
    let date = NaiveDate::from_ymd_opt(2025, month, day).unwrap_or_default();
    date.and_time(chrono::NaiveTime::MIN).and_utc()
}

fn started_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_764_122_400, 0).unwrap_or_default()
}

/// A batch of nothing, for tests to fill.
pub fn batch() -> Batch {
    Batch {
        batch_no: 1,
        slice_no: 1,
        worker: 1,
        finished_at: started_at(),
        rows: 0,
        rejected: 0,
        bytes: 0,
        source_wait_ms: 0.0,
        transform_ms: 0.0,
        insert_ms: 0.0,
        commit_ms: None,
        lock_ms: 0.0,
        throttle_ms: 0.0,
        elapsed_ms: 0.0,
        wal_bytes: 0,
    }
}

/// A run that went well, in so many batches.
pub fn run(batches: usize) -> Facts {
    pull(batches, &|_| Weather { insert: 1.0, lock_ms: 0.0 }, false)
}

/// A run as the old job had them: each insert costs more than the one before, somebody holds a
/// lock for a while, the source goes away once, some values do not fit.
pub fn slowing(batches: usize) -> Facts {
    let weather = |progress: f64| Weather {
        insert: 1.0 + 2.2 * progress.powf(1.4),
        lock_ms: if (0.58..0.60).contains(&progress) { 4_000.0 } else { 0.0 },
    };
    let mut facts = pull(batches, &weather, true);
    facts.rejects = rejects();
    facts.run.rejected = facts.rejects.iter().map(|r| r.count).sum();
    facts.run.fallbacks = facts.run.rows / 4_000;
    if let Some(batch) = facts.batches.last_mut() {
        batch.rejected = facts.run.rejected;
    }
    facts.stage.checkpoints_requested = Some(14);
    facts.stage.autovacuums = Some(2);
    facts.stage.triggers = vec!["aidt_raw_audit".into()];
    facts.shares.verdict = "insert".into();
    facts.shares.advice = "Most of the time goes into INSERT on the stage. Drop indexes and \
                           triggers that the load does not need, or give the stage more memory \
                           and faster disks."
        .into();
    facts
}

/// The same run as it looks after that share of its batches.
pub fn running(batches: usize, share: f64) -> Facts {
    let mut facts = slowing(batches);
    facts.batches.truncate(((batches as f64 * share) as usize).max(1));
    let now = facts.batches.last().map_or(started_at(), |b| b.finished_at);
    facts.as_of = now + TimeDelta::milliseconds(700);
    facts.run.finished_at = None;
    facts.run.state = RunState::Running;
    for slice in &mut facts.slices {
        if slice.started_at.is_some_and(|t| t > now) {
            (slice.state, slice.worker, slice.started_at) = (SliceState::Todo, None, None);
        } else if slice.finished_at.is_some_and(|t| t > now) {
            slice.state = SliceState::Running;
        }
        if slice.state != SliceState::Done {
            slice.finished_at = None;
        }
    }
    sum_up(&mut facts);
    facts.run.share_done = share;
    facts.run.time_left =
        Some(std::time::Duration::from_secs_f64(seconds(&facts) * (1.0 / share - 1.0)));
    facts.run.watermark = facts
        .slices
        .iter()
        .find(|s| s.state != SliceState::Done)
        .map(|s| s.from + TimeDelta::hours(31));
    facts
}

/// The same run, ended by an error after that share of its batches.
pub fn failed(batches: usize, share: f64) -> Facts {
    let mut facts = running(batches, share);
    facts.run.state = RunState::Failed;
    facts.run.finished_at = Some(facts.as_of);
    facts.run.time_left = None;
    facts.run.sqlstate = Some("53100".into());
    facts.run.error = Some(
        "could not extend file \"base/16384/24601.7\": wrote only 4096 of 8192 bytes at block \
         1048575"
            .into(),
    );
    facts.run.detail = Some(
        "While pulling acid.lrs_statement_2025_06 from 2025-06-12 07:00:00+00; everything before \
         is committed and stays."
            .into(),
    );
    facts.run.hint = Some("Check free disk space.".into());
    facts
}

/// What a batch meets.
struct Weather {
    insert: f64,
    lock_ms: f64,
}

fn pull(batches: usize, weather: &dyn Fn(f64) -> Weather, retry: bool) -> Facts {
    let mut slices = lay_out(batches);
    let mut made = Vec::with_capacity(batches);
    let mut free = [started_at() + TimeDelta::milliseconds(180); 2];
    for (n, slice) in slices.iter_mut().enumerate() {
        let worker = if free[0] <= free[1] { 0 } else { 1 };
        slice.worker = Some(worker as i32 + 1);
        slice.started_at = Some(free[worker]);
        let first = n * batches / SLICES.min(batches);
        let last = (n + 1) * batches / SLICES.min(batches);
        for number in first..last {
            let progress = number as f64 / batches.max(1) as f64;
            if retry && n == 6 && number == (first + last) / 2 {
                slice.retries = 3;
                slice.last_error = Some(
                    "could not read from the source: server closed the connection unexpectedly"
                        .into(),
                );
                free[worker] += TimeDelta::seconds(7);
            }
            let batch = one_batch(number, slice.slice_no, worker, free[worker], &weather(progress));
            free[worker] =
                batch.finished_at + TimeDelta::milliseconds(batch.commit_ms.unwrap_or(0.0) as i64);
            made.push(batch);
        }
        slice.finished_at = Some(free[worker]);
        slice.state = SliceState::Done;
    }
    made.sort_by_key(|b| b.finished_at);
    for (batch, number) in made.iter_mut().zip(1..) {
        batch.batch_no = number;
    }
    let mut facts = Facts {
        as_of: free[0].max(free[1]) + TimeDelta::hours(6),
        run: call(free[0].max(free[1])),
        shares: Shares {
            verdict: "balanced".into(),
            advice: "No part stands out. More jobs would use the stage's idle cores.".into(),
            ..Shares::default()
        },
        stage: stage(),
        slices,
        batches: made,
        rejects: Vec::new(),
    };
    sum_up(&mut facts);
    facts
}

const SLICES: usize = 16;

fn lay_out(batches: usize) -> Vec<Slice> {
    let mut bounds = Vec::new();
    for month in 3..=7 {
        let ends = [day(month, 11), day(month, 21), day(month + 1, 1)];
        bounds.extend([day(month, 1), ends[0], ends[1]].into_iter().zip(ends).map(|b| (month, b)));
    }
    bounds.push((7, (day(8, 1), day(8, 1) + TimeDelta::hours(9))));
    bounds.truncate(batches.min(SLICES));
    let slices = bounds.into_iter().zip(1..).map(|((month, (from, to)), slice_no)| Slice {
        slice_no,
        partition: format!("acid.lrs_statement_2025_{month:02}"),
        from,
        to,
        state: SliceState::Todo,
        worker: None,
        started_at: None,
        finished_at: None,
        estimated_rows: (batches / SLICES.min(batches)) as i64 * BATCH_ROWS,
        rows: 0,
        rejected: 0,
        bytes: 0,
        retries: 0,
        last_error: None,
        access_path: format!(
            "Index Scan using lrs_statement_2025_{month:02}_timestamp_actor_id_idx"
        ),
        warning: (month == 5).then(|| {
            "heap order and key order disagree (correlation 0.12): the walk reads pages at random"
                .into()
        }),
    });
    slices.collect()
}

fn one_batch(
    number: usize,
    slice_no: i32,
    worker: usize,
    begin: DateTime<Utc>,
    weather: &Weather,
) -> Batch {
    let rows = BATCH_ROWS + (noise(number, 0) * 40.0) as i64;
    let per_row = |micros: f64, seed: u64| {
        rows as f64 * micros * (0.85 + 0.3 * noise(number, seed)) / 1_000.0
    };
    let (source_wait_ms, transform_ms) = (per_row(9.0, 1), per_row(3.5, 2));
    let insert_ms = per_row(12.0 * weather.insert, 3) + weather.lock_ms;
    let elapsed_ms = source_wait_ms + transform_ms + insert_ms + per_row(0.4, 4);
    Batch {
        batch_no: 0,
        slice_no,
        worker: worker as i32 + 1,
        finished_at: begin + TimeDelta::microseconds((elapsed_ms * 1_000.0) as i64),
        rows,
        rejected: 0,
        bytes: rows * 2_260,
        source_wait_ms,
        transform_ms,
        insert_ms,
        commit_ms: Some(per_row(1.6, 5)),
        lock_ms: weather.lock_ms,
        throttle_ms: 0.0,
        elapsed_ms,
        wal_bytes: rows * 1_540,
    }
}

/// A number from 0 to 1 (splitmix64).
fn noise(number: usize, seed: u64) -> f64 {
    let mut z = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (seed << 32);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn call(finished_at: DateTime<Utc>) -> Run {
    Run {
        run_id: 42,
        pipeline: "aidt".into(),
        state: RunState::Done,
        from: day(3, 1),
        to: day(8, 1),
        batch_size: BATCH_ROWS,
        jobs: 2,
        commit_mode: "batch".into(),
        again: false,
        caller: "etl".into(),
        started_at: started_at(),
        finished_at: Some(finished_at),
        error: None,
        sqlstate: None,
        detail: None,
        hint: None,
        source_version: Some("PostgreSQL 13.16 on x86_64-pc-linux-gnu".into()),
        target: Some("pipeline.aidt_raw".into()),
        share_done: 1.0,
        rows: 0,
        rejected: 0,
        bytes: 0,
        fallbacks: 0,
        rows_per_second: 0.0,
        bytes_per_second: 0.0,
        time_left: None,
        watermark: None,
    }
}

fn stage() -> Stage {
    Stage {
        wal_bytes: None,
        checkpoints_timed: Some(4),
        checkpoints_requested: Some(0),
        autovacuums: Some(0),
        autoanalyzes: Some(1),
        indexes: vec![
            Index { name: "aidt_raw_id_idx".into(), bytes: 4_812_333_056 },
            Index { name: "aidt_raw_timestamp_idx".into(), bytes: 1_310_720_000 },
        ],
        triggers: vec![],
        retries: 0,
    }
}

fn rejects() -> Vec<RejectGroup> {
    vec![
        RejectGroup {
            column: Some("id".into()),
            sqlstate: "22P02".into(),
            count: 141,
            example: "invalid input syntax for type uuid: \"test-1\"".into(),
        },
        RejectGroup {
            column: Some("user_id".into()),
            sqlstate: "22001".into(),
            count: 11,
            example: "value too long for type character varying(64)".into(),
        },
        RejectGroup {
            column: None,
            sqlstate: "22P05".into(),
            count: 1,
            example: "unsupported Unicode escape sequence: \\u0000 cannot be converted to text"
                .into(),
        },
    ]
}

fn seconds(facts: &Facts) -> f64 {
    let end = facts.run.finished_at.unwrap_or(facts.as_of);
    ((end - facts.run.started_at).num_milliseconds() as f64 / 1e3).max(1e-3)
}

/// Brings sums and shares in line with the batches.
fn sum_up(facts: &mut Facts) {
    let mut by_slice: HashMap<i32, (i64, i64)> = HashMap::new();
    for batch in &facts.batches {
        let sums = by_slice.entry(batch.slice_no).or_default();
        *sums = (sums.0 + batch.rows, sums.1 + batch.bytes);
    }
    for slice in &mut facts.slices {
        (slice.rows, slice.bytes) = by_slice.get(&slice.slice_no).copied().unwrap_or_default();
    }
    let sum = |of: fn(&Batch) -> f64| facts.batches.iter().map(of).sum::<f64>();
    let commit = sum(|b| b.commit_ms.unwrap_or(0.0));
    let (source, transform) = (sum(|b| b.source_wait_ms), sum(|b| b.transform_ms));
    let (insert, lock) = (sum(|b| b.insert_ms - b.lock_ms), sum(|b| b.lock_ms));
    let all = (source + transform + insert + lock + commit).max(f64::MIN_POSITIVE);
    facts.shares = Shares {
        source: source / all,
        transform: transform / all,
        insert: insert / all,
        commit: commit / all,
        lock: lock / all,
        throttle: 0.0,
        verdict: facts.shares.verdict.clone(),
        advice: facts.shares.advice.clone(),
    };
    facts.stage.wal_bytes = Some(facts.batches.iter().map(|b| b.wal_bytes).sum());
    facts.stage.retries = facts.slices.iter().map(|s| s.retries).sum();
    facts.run.rows = facts.batches.iter().map(|b| b.rows).sum();
    facts.run.bytes = facts.batches.iter().map(|b| b.bytes).sum();
    let seconds = seconds(facts);
    facts.run.rows_per_second = facts.run.rows as f64 / seconds;
    facts.run.bytes_per_second = facts.run.bytes as f64 / seconds;
}
