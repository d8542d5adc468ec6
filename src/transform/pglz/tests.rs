use proptest::prelude::*;

use super::*;
use crate::transform::sample::{FLAVORS, Random, statement};

fn compressed(source: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new().compress(source, usize::MAX, &mut out).unwrap();
    out
}

/// Decompresses with the server's algorithm, which must use up all input and fill all output.
fn decompressed(compressed: &[u8], size: usize) -> Vec<u8> {
    let mut out = vec![0; size];
    let filled = ::pglz::decompress_into(compressed, &mut out, true);
    assert_eq!(filled, Some(size));
    out
}

proptest! {
    #[test]
    fn anything_comes_back(source in prop::collection::vec(any::<u8>(), 0..3_000)) {
        prop_assert_eq!(decompressed(&compressed(&source), source.len()), source);
    }

    #[test]
    fn repetitions_of_every_length_and_distance_come_back(
        runs in prop::collection::vec((prop::collection::vec(0u8..4, 1..40), 1usize..400), 1..30),
    ) {
        let source: Vec<u8> = runs.iter().flat_map(|(run, times)| run.repeat(*times)).collect();
        prop_assert_eq!(decompressed(&compressed(&source), source.len()), source);
    }
}

#[test]
fn values_longer_than_a_position_has_bits_come_back() {
    let mut random = Random(3);
    let mut source = Vec::new();
    while source.len() < 300_000 {
        let flavor = FLAVORS[random.below(FLAVORS.len())];
        source.extend_from_slice(statement(&mut random, flavor).canonical().as_bytes());
        source.resize(source.len() + random.below(70_000), 0);
    }
    assert_eq!(decompressed(&compressed(&source), source.len()), source);
}

#[test]
fn a_value_compresses_the_same_whatever_went_before() {
    let mut random = Random(4);
    let mut compressor = Compressor::new();
    for i in 0..50 {
        let source = statement(&mut random, FLAVORS[i % 5]).canonical();
        let mut out = Vec::new();
        compressor.compress(source.as_bytes(), usize::MAX, &mut out).unwrap();
        assert_eq!(out, compressed(source.as_bytes()));
    }
}

#[test]
fn beyond_the_limit_nothing_is_appended() {
    let mut out = vec![1, 2, 3];
    let source = [7; 1_000];
    let size = compressed(&source).len();
    assert_eq!(Compressor::new().compress(&source, size - 1, &mut out), None);
    assert_eq!(out, [1, 2, 3]);
    assert_eq!(Compressor::new().compress(&source, size, &mut out), Some(size));
    assert_eq!(out.len(), 3 + size);
}
