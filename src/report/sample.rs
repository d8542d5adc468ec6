//! A run as it happens, for tests: five months pulled by two workers, each insert dearer than the
//! one before. And runs with anything at all in them, for properties.

use super::facts::{Batch, Facts, Kind, RunState, Slice, SliceState};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, from_value, json};

const SLICES: i64 = 15;
const DAY: i64 = 86_400_000_000;
/// 2025-03-01 and 2026-11-26 02:00, in microseconds.
const FIRST: i64 = 1_740_787_200_000_000;
const STARTED: i64 = 1_795_658_400_000_000;

/// A batch of nothing, for tests to fill.
pub fn batch() -> Batch {
    from_value(json!({
        "finished_at": STARTED, "rows": 0, "rejected": 0, "source_wait_ms": 0.0, "transform_ms": 0.0,
        "insert_ms": 0.0, "commit_ms": null, "lock_ms": 0.0, "throttle_ms": 0.0, "elapsed_ms": 0.0,
    }))
    .unwrap()
}

/// A run of so many batches, done, with some rejects.
pub fn slowing(batches: usize) -> Facts {
    let mut slices: Vec<Slice> = (0..SLICES).map(slice).collect();
    let mut made = Vec::new();
    let mut free = [slices[0].started_at.unwrap(); 2];
    for (n, slice) in slices.iter_mut().enumerate() {
        let worker = usize::from(free[1] < free[0]);
        slice.worker = Some(worker as i32 + 1);
        slice.started_at = Some(free[worker]);
        for number in n * batches / SLICES as usize..(n + 1) * batches / SLICES as usize {
            let batch = one_batch(number as f64 / batches as f64, free[worker]);
            free[worker] = batch.finished_at + TimeDelta::milliseconds(80);
            slice.rows += batch.rows;
            made.push(batch);
        }
        slice.finished_at = Some(free[worker]);
    }
    made.sort_by_key(|b| b.finished_at);
    let end = free[0].max(free[1]).timestamp_micros();
    let rows: i64 = slices.iter().map(|s| s.rows).sum();
    let rate = rows as f64 / ((end - STARTED).max(1) as f64 / 1e6);
    from_value(json!({
        "as_of": end + DAY,
        "run": {
            "run_id": 42, "pipeline": "aidt", "state": "done", "from": FIRST,
            "to": FIRST + SLICES * 10 * DAY, "batch_size": 50_000, "jobs": 2,
            "commit_mode": "batch", "again": false, "caller": "etl", "target": "pipeline.aidt_raw",
            "started_at": STARTED, "finished_at": end, "share_done": 1.0, "rows": rows,
            "rejected": 142, "rows_read": rows + 142, "bytes": rows * 2_260, "fallbacks": 12, "rows_per_second": rate,
            "bytes_per_second": rate * 2_260.0,
        },
        "shares": {
            "source": 0.24, "transform": 0.09, "insert": 0.62, "commit": 0.04, "lock": 0.01,
            "throttle": 0.0, "verdict": "insert",
            "advice": "INSERT is the limit, and these indexes are kept up row by row: a_idx.",
        },
        "stage": {
            "wal_bytes": rows * 1_540,
            "start": {
                "checkpoints_timed": 7, "checkpoints_requested": 1, "autovacuums": 3,
                "autoanalyzes": 3, "vacuums_running": 0,
            },
            "end": {
                "checkpoints_timed": 9, "checkpoints_requested": 15, "autovacuums": 4,
                "autoanalyzes": 5, "vacuums_running": 1,
            },
        },
        "slices": slices,
        "batches": made,
        "rejects": [
            {"column": "id", "sqlstate": "22P02", "count": 141, "example": "no uuid: \"test-1\""},
            {"column": null, "sqlstate": "22P05", "count": 1, "example": "\\u0000 is no text"},
        ],
    }))
    .unwrap()
}

/// The same run, ended by an error on its way.
pub fn failed(batches: usize) -> Facts {
    let mut facts = slowing(batches);
    facts.batches.truncate(batches / 2);
    let end = facts.batches.last().map_or(facts.run.started_at, |b| b.finished_at);
    for slice in &mut facts.slices {
        if slice.started_at > Some(end) {
            (slice.started_at, slice.finished_at, slice.worker) = (None, None, None);
            (slice.state, slice.rows) = (SliceState::Todo, 0);
        } else if slice.finished_at > Some(end) {
            (slice.finished_at, slice.state) = (None, SliceState::Running);
        }
    }
    facts.run.state = RunState::Failed;
    facts.run.finished_at = Some(end);
    facts.run.share_done = 0.5;
    facts.run.sqlstate = Some("53100".into());
    facts.run.error = Some("could not extend file \"base/16384/24601.7\"".into());
    facts.run.detail = Some("While pulling acid.lrs_statement_2025_06 from 2025-06-12.".into());
    facts.run.hint = Some("Check free disk space.".into());
    facts
}

fn slice(n: i64) -> Slice {
    from_value(json!({
        "slice_no": n + 1, "partition": format!("acid.lrs_statement_2025_{:02}", 3 + n / 3),
        "from": FIRST + n * 10 * DAY, "to": FIRST + (n + 1) * 10 * DAY, "state": "done", "worker": 1,
        "started_at": STARTED, "finished_at": STARTED, "estimated_rows": 650_000, "rows": 0,
        "rejected": 0, "warning": (n / 3 == 2).then_some("heap order and key order disagree"),
    }))
    .unwrap()
}

fn one_batch(progress: f64, begin: DateTime<Utc>) -> Batch {
    let lock_ms = if (0.58..0.60).contains(&progress) { 4_000.0 } else { 0.0 };
    let insert_ms = 600.0 * (1.0 + 2.2 * progress.powf(1.4)) + lock_ms;
    let recorded_ms = 450.0 + 175.0 + insert_ms;
    Batch {
        finished_at: begin + TimeDelta::microseconds((recorded_ms * 1e3) as i64),
        rows: 50_000,
        source_wait_ms: 450.0,
        transform_ms: 175.0,
        insert_ms,
        lock_ms,
        commit_ms: Some(80.0),
        elapsed_ms: recorded_ms + 80.0,
        ..batch()
    }
}

/// The sample with any of its numbers and names replaced by whatever a ledger may hold: times that
/// run backwards, sums that overflow, names that bite.
pub fn any_facts() -> impl Strategy<Value = Facts> {
    let run = (prop::bool::ANY, 0usize..60, 1u32..40);
    let odd = prop::collection::vec((text(), number(), any::<u32>()), 1..20);
    (run, odd).prop_map(|((failed, batches, share), odd)| {
        let mut facts = if failed { self::failed(batches) } else { slowing(batches) };
        if share % 2 == 0 {
            facts.run.kind = Kind::Repair;
            facts.differences.ranges = i64::from(share % 4);
        }
        let mut json = serde_json::to_value(&facts).unwrap();
        let mut left = odd.iter().cycle();
        replace(&mut json, &mut |value| {
            let (text, number, dice) = left.next().unwrap();
            match value {
                _ if dice.rotate_left(share) % 40 >= share => {}
                Value::String(word) => word.clone_from(text),
                Value::Number(n) if n.is_f64() => *value = (*number as f64 / 16.0).into(),
                Value::Number(_) => *value = (*number).into(),
                _ => {}
            }
        });
        from_value(json).unwrap()
    })
}

fn replace(value: &mut Value, f: &mut impl FnMut(&mut Value)) {
    // Words that are read as such, and numbers that have 32 bits.
    const FIXED: [&str; 5] = ["state", "kind", "jobs", "slice_no", "worker"];
    match value {
        Value::Object(fields) => {
            let free = fields.iter_mut().filter(|(name, _)| !FIXED.contains(&name.as_str()));
            free.for_each(|(_, value)| replace(value, f));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, f)),
        value => f(value),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_.]{0,30}",
        any::<String>(),
        Just("</script><script>alert(1)</script><svg onload=x>&amp;\"'`]]>".to_owned()),
        Just("\u{1b}[2J\u{202e}\u{7}a\nb\rc\u{fffe}\u{85}".to_owned()),
        Just("학습 기록 ".repeat(60)),
        Just("x".repeat(9_000)),
        Just("e\u{301}\u{302}\u{303}".repeat(400)),
        Just("👩‍👩‍👧‍👦❤️#️⃣".repeat(20)),
    ]
}

/// All that microseconds since 1970 can be, too.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        0i64..1_000_000,
        1_764_122_000_000_000i64..1_764_123_000_000_000,
        -8_000_000_000_000_000_000i64..8_000_000_000_000_000_000,
    ]
}
