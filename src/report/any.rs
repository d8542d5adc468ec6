//! Any facts at all, for properties: times that run backwards, numbers that are none, names that
//! bite.

use super::*;
use proptest::prelude::*;

/// Facts of up to 40 slices and 60 batches.
pub fn facts() -> impl Strategy<Value = Facts> {
    let lists = (
        prop::collection::vec(slice(), 0..40),
        prop::collection::vec(batch(), 0..60),
        prop::collection::vec(reject(), 0..5),
    );
    (moment(), run(), shares(), stage(), lists).prop_map(
        |(as_of, run, shares, stage, (slices, batches, rejects))| Facts {
            as_of,
            run,
            shares,
            stage,
            slices,
            batches,
            rejects,
        },
    )
}

/// Text from outside: often short and plain, sometimes with teeth.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_.]{0,30}",
        any::<String>(),
        Just("</script><script>alert(1)</script><svg onload=x>&amp;\"'`]]>".to_owned()),
        Just("\u{1b}[2J\u{202e}\0\u{7}a\nb\rc\u{fffe}\u{85}".to_owned()),
        Just("학습 기록 ".repeat(60)),
        Just("x".repeat(9_000)),
        Just("e\u{301}\u{302}\u{303}".repeat(400)),
        Just("👩‍👩‍👧‍👦❤️#️⃣".repeat(20)),
    ]
}

fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    prop_oneof![
        8 => (0i64..100_000).prop_filter_map("in range", |s| DateTime::from_timestamp(1_764_000_000 + s, 0)),
        1 => (-8_000_000_000_000i64..8_000_000_000_000, 0u32..1_000_000_000)
            .prop_filter_map("in range", |(s, n)| DateTime::from_timestamp(s, n)),
        1 => Just(DateTime::<Utc>::MIN_UTC),
        1 => Just(DateTime::<Utc>::MAX_UTC),
    ]
}

fn amount() -> impl Strategy<Value = f64> {
    prop_oneof![5 => 0.0..100_000.0, 1 => Just(0.0), 1 => any::<f64>()]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![5 => 0i64..1_000_000, 1 => Just(0), 1 => any::<i64>()]
}

fn maybe<T: std::fmt::Debug + Clone>(
    of: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::of(of)
}

fn run() -> impl Strategy<Value = Run> {
    let states = [
        RunState::Running,
        RunState::Done,
        RunState::Failed,
        RunState::Cancelled,
        RunState::Interrupted,
    ];
    let call =
        (number(), text(), prop::sample::select(states.to_vec()), moment(), moment(), any::<i32>());
    let said = (text(), any::<bool>(), text(), moment(), maybe(moment()));
    let ended =
        (maybe(text()), maybe(text()), maybe(text()), maybe(text()), maybe(text()), maybe(text()));
    let sums = (amount(), number(), number(), number(), number(), amount(), amount());
    let left = (maybe(any::<Duration>()), maybe(moment()));
    (call, said, ended, sums, left).prop_map(|(call, said, ended, sums, left)| Run {
        run_id: call.0,
        pipeline: call.1,
        state: call.2,
        from: call.3,
        to: call.4,
        batch_size: call.0,
        jobs: call.5,
        commit_mode: said.0,
        again: said.1,
        caller: said.2,
        started_at: said.3,
        finished_at: said.4,
        error: ended.0,
        sqlstate: ended.1,
        detail: ended.2,
        hint: ended.3,
        source_version: ended.4,
        target: ended.5,
        share_done: sums.0,
        rows: sums.1,
        rejected: sums.2,
        bytes: sums.3,
        fallbacks: sums.4,
        rows_per_second: sums.5,
        bytes_per_second: sums.6,
        time_left: left.0,
        watermark: left.1,
    })
}

fn shares() -> impl Strategy<Value = Shares> {
    ([amount(), amount(), amount(), amount(), amount(), amount()], text(), text()).prop_map(
        |([source, transform, insert, commit, lock, throttle], verdict, advice)| Shares {
            source,
            transform,
            insert,
            commit,
            lock,
            throttle,
            verdict,
            advice,
        },
    )
}

fn stage() -> impl Strategy<Value = Stage> {
    let counts =
        [maybe(number()), maybe(number()), maybe(number()), maybe(number()), maybe(number())];
    let index = (text(), number()).prop_map(|(name, bytes)| Index { name, bytes });
    (counts, prop::collection::vec(index, 0..4), prop::collection::vec(text(), 0..3), number())
        .prop_map(|([wal, timed, requested, vacuums, analyzes], indexes, triggers, retries)| {
            Stage {
                wal_bytes: wal,
                checkpoints_timed: timed,
                checkpoints_requested: requested,
                autovacuums: vacuums,
                autoanalyzes: analyzes,
                indexes,
                triggers,
                retries,
            }
        })
}

fn slice() -> impl Strategy<Value = Slice> {
    let states = [SliceState::Todo, SliceState::Running, SliceState::Done];
    let place = (0i32..50, text(), moment(), moment(), prop::sample::select(states.to_vec()));
    let work = (maybe(-2i32..5), maybe(moment()), maybe(moment()));
    let sums = [number(), number(), number(), number(), number()];
    (place, work, sums, maybe(text()), text(), maybe(text())).prop_map(
        |(place, work, [estimated_rows, rows, rejected, bytes, retries], error, path, warning)| {
            Slice {
                slice_no: place.0,
                partition: place.1,
                from: place.2,
                to: place.3,
                state: place.4,
                worker: work.0,
                started_at: work.1,
                finished_at: work.2,
                estimated_rows,
                rows,
                rejected,
                bytes,
                retries,
                last_error: error,
                access_path: path,
                warning,
            }
        },
    )
}

fn batch() -> impl Strategy<Value = Batch> {
    let place = (any::<i32>(), 0i32..50, 0i32..5, moment());
    let sums = [number(), number(), number(), number()];
    let times = [amount(), amount(), amount(), amount(), amount(), amount()];
    (place, sums, times, maybe(amount())).prop_map(
        |(place, [rows, rejected, bytes, wal_bytes], times, commit_ms)| Batch {
            batch_no: place.0,
            slice_no: place.1,
            worker: place.2,
            finished_at: place.3,
            rows,
            rejected,
            bytes,
            source_wait_ms: times[0],
            transform_ms: times[1],
            insert_ms: times[2],
            commit_ms,
            lock_ms: times[3],
            throttle_ms: times[4],
            elapsed_ms: times[5],
            wal_bytes,
        },
    )
}

fn reject() -> impl Strategy<Value = RejectGroup> {
    (maybe(text()), text(), number(), text()).prop_map(|(column, sqlstate, count, example)| {
        RejectGroup { column, sqlstate, count, example }
    })
}
