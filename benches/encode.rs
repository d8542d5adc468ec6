//! What a row costs: each stage alone, then all of them as a transform thread runs them.
//!
//! Run with `cargo bench --bench encode`; throughput is of JSON text. The statements are in more
//! than one cache's worth, so that each call meets a text it has not just seen.

#![allow(clippy::unwrap_used, reason = "a bench ends where its expectation does")]

#[path = "../src/transform/sample.rs"]
mod sample;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lrs_extract::transform::json::Tape;
use lrs_extract::transform::jsonb::Encoder;
use lrs_extract::transform::toast::{Method, Toaster};
use sample::{FLAVORS, Random, statement};

const ROWS: usize = 1_000;

fn rows(c: &mut Criterion) {
    for flavor in FLAVORS {
        let mut random = Random(42);
        let texts: Vec<String> =
            (0..ROWS).map(|_| statement(&mut random, flavor).canonical()).collect();
        let stored: Vec<Vec<u8>> = texts.iter().map(|text| stored(text)).collect();
        let bytes: usize = texts.iter().map(String::len).sum();
        let name = format!("{flavor:?} {}B", bytes / ROWS);

        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes((bytes / ROWS) as u64));

        let (mut tape, mut encoder) = (Tape::new(), Encoder::new());
        let mut next = turns();
        group.bench_function(BenchmarkId::from_parameter("parse"), |b| {
            b.iter(|| black_box(tape.parse(texts[next()].as_bytes()).is_ok()));
        });
        group.bench_function(BenchmarkId::from_parameter("parse and encode"), |b| {
            b.iter(|| {
                let document = tape.parse(texts[next()].as_bytes()).unwrap();
                black_box(encoder.encode(document).len())
            });
        });
        for method in [Method::Pglz, Method::Lz4] {
            let mut toaster = Toaster::new(method, 16).unwrap();
            let mut datum = Vec::new();
            group.bench_function(BenchmarkId::from_parameter(format!("{method:?}")), |b| {
                b.iter(|| {
                    datum.clear();
                    black_box(toaster.compressed(&stored[next()], &mut datum))
                });
            });
            group.bench_function(BenchmarkId::from_parameter(format!("all, {method:?}")), |b| {
                b.iter(|| {
                    let document = tape.parse(texts[next()].as_bytes()).unwrap();
                    datum.clear();
                    black_box(toaster.compressed(encoder.encode(document), &mut datum))
                });
            });
        }
        group.finish();
    }
}

fn turns() -> impl FnMut() -> usize {
    let mut turn = 0;
    move || {
        turn = (turn + 1) % ROWS;
        turn
    }
}

fn stored(text: &str) -> Vec<u8> {
    let mut tape = Tape::new();
    Encoder::new().encode(tape.parse(text.as_bytes()).unwrap()).to_vec()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(1));
    targets = rows
}
criterion_main!(benches);
