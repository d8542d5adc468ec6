use proptest::prelude::*;

use super::*;
use crate::transform::sample::{Flavor, Random, statement};

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Takes a datum apart as the server does; panics where the server would misread it.
fn content(datum: &[u8], form: Form, method: Method) -> Vec<u8> {
    assert_eq!((word(datum, 0) >> 2) as usize, datum.len());
    match form {
        Form::Plain => {
            assert_eq!(datum[0] & 3, 0);
            datum[4..].to_vec()
        }
        Form::Compressed => {
            assert_eq!(datum[0] & 3, 2);
            let size = (word(datum, 4) & 0x3FFF_FFFF) as usize;
            // VARATT_EXTERNAL_IS_COMPRESSED goes by the sizes alone.
            assert!(datum.len() < size - 2);
            assert_eq!(word(datum, 4) >> 30, u32::from(method == Method::Lz4));
            match method {
                Method::Pglz => {
                    let mut out = vec![0; size];
                    assert_eq!(::pglz::decompress_into(&datum[8..], &mut out, true), Some(size));
                    out
                }
                Method::Lz4 => lz4_flex::block::decompress(&datum[8..], size).unwrap(),
            }
        }
    }
}

proptest! {
    #[test]
    fn a_datum_holds_its_content(
        source in prop::collection::vec(prop_oneof![3 => 0u8..3, 1 => any::<u8>()], 0..3_000),
        method in prop::sample::select(vec![Method::Pglz, Method::Lz4]),
    ) {
        let mut datum = Vec::new();
        let form = Toaster::new(method, 16).unwrap().compressed(&source, &mut datum);
        prop_assert_eq!(content(&datum, form, method), source);
    }
}

#[test]
fn a_statement_is_compressed_and_noise_is_not() {
    let mut random = Random(5);
    let text = statement(&mut random, Flavor::Plain).canonical();
    let noise: Vec<u8> = (0..2_500).map(|_| random.next_u64() as u8).collect();
    for method in [Method::Pglz, Method::Lz4] {
        let mut toaster = Toaster::new(method, 15).unwrap();
        let mut datum = Vec::new();
        assert_eq!(toaster.compressed(text.as_bytes(), &mut datum), Form::Compressed);
        datum.clear();
        assert_eq!(toaster.compressed(&noise, &mut datum), Form::Plain);
        assert_eq!(datum.len(), 4 + noise.len());
    }
}

#[test]
fn what_is_smaller_than_a_header_stays_plain() {
    for method in [Method::Pglz, Method::Lz4] {
        let mut toaster = Toaster::new(method, 16).unwrap();
        for size in 0..12 {
            let source = vec![b'a'; size];
            let mut datum = Vec::new();
            assert_eq!(toaster.compressed(&source, &mut datum), Form::Plain, "{size}");
            assert_eq!(content(&datum, Form::Plain, method), source);
        }
    }
}

#[test]
fn lz4_is_not_for_13() {
    assert_eq!(Toaster::new(Method::Lz4, 13).unwrap_err(), UnknownMethod { major: 13 });
    assert!(Toaster::new(Method::Pglz, 13).is_ok());
}
