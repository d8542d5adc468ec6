//! jsonb and compressed values made in Rust against the server's own.

#[pgrx::pg_schema]
mod tests {
    use crate::backend::transaction::Subtransaction;
    use crate::pg_compat::SERVER_MAJOR;
    use crate::transform::json::Tape;
    use crate::transform::jsonb::Encoder;
    use crate::transform::sample::{FLAVORS, Random, statement};
    use crate::transform::toast::{Method, Toaster, plain};
    use pgrx::pg_sys;
    use pgrx::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use std::ffi::CString;

    /// The content of a varlena that the server made, its header taken off.
    #[allow(unsafe_code)]
    fn content(datum: pg_sys::Datum) -> Vec<u8> {
        // SAFETY: a varlena of the server, decompressed and with a 4-byte header by pg_detoast.
        unsafe {
            let value = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
            let length = (value.cast::<u32>().read_unaligned() >> 2) as usize;
            std::slice::from_raw_parts(value.cast::<u8>().add(4), length - 4).to_vec()
        }
    }

    /// What `jsonb_in` makes of a text; `None` where it refuses.
    #[allow(unsafe_code)]
    fn jsonb_in(text: &str) -> Option<Vec<u8>> {
        let text = CString::new(text).ok()?;
        Subtransaction::run(|| {
            let argument = Some(pg_sys::Datum::from(text.as_ptr()));
            // SAFETY: a zero-terminated string is what jsonb_in takes.
            let datum: pg_sys::Datum =
                unsafe { pgrx::direct_function_call(pg_sys::jsonb_in, &[argument]) }.unwrap();
            content(datum)
        })
        .ok()
    }

    fn check(text: &str, tape: &mut Tape, encoder: &mut Encoder) -> bool {
        match tape.parse(text.as_bytes()) {
            Ok(document) => {
                let ours = encoder.encode(document).to_vec();
                assert_eq!(Some(ours), jsonb_in(text), "{text}");
                true
            }
            Err(_) => false,
        }
    }

    #[pg_test]
    fn statements_are_stored_byte_for_byte_as_the_server_would() {
        let (mut tape, mut encoder, mut random) = (Tape::new(), Encoder::new(), Random(7));
        for flavor in FLAVORS {
            for _ in 0..300 {
                let text = statement(&mut random, flavor).canonical();
                assert!(check(&text, &mut tape, &mut encoder), "left to the server: {text}");
            }
        }
    }

    #[pg_test]
    fn numbers_are_stored_as_the_server_would() {
        let (mut tape, mut encoder) = (Tape::new(), Encoder::new());
        for number in [
            "0",
            "-0",
            "0.0",
            "-0.00",
            "1",
            "-1",
            "10000",
            "9999",
            "100000000",
            "0.0001",
            "0.00001",
            "29.310",
            "1e3",
            "1E-7",
            "12345678901234567890.0987654321",
            "1e300",
            "-2.50e-300",
        ] {
            assert!(check(number, &mut tape, &mut encoder), "{number}");
        }
        let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?";
        TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() })
            .run(&number, |number| {
                check(&number, &mut Tape::new(), &mut Encoder::new());
                Ok(())
            })
            .unwrap();
    }

    #[pg_test]
    fn every_count_of_entries_around_the_stride_is_stored_as_the_server_would() {
        let (mut tape, mut encoder) = (Tape::new(), Encoder::new());
        for count in (0..70).chain([1_000]) {
            let array: Vec<String> = (0..count).map(|n| format!("\"v{n}\"")).collect();
            assert!(check(&format!("[{}]", array.join(", ")), &mut tape, &mut encoder));
            let pairs: Vec<String> = (0..count).map(|n| format!("\"k{n:04}\": {n}")).collect();
            assert!(check(&format!("{{{}}}", pairs.join(", ")), &mut tape, &mut encoder));
        }
    }

    #[pg_test]
    fn damaged_text_is_left_to_the_server_or_means_the_same() {
        let mut random = Random(11);
        let whole = statement(&mut random, FLAVORS[0]).canonical();
        let damage = (0..whole.len(), "[\"\\\\{}\\[\\]:,0-9a-z .eE+-]{1,2}");
        TestRunner::new(Config { cases: 800, failure_persistence: None, ..Config::default() })
            .run(&damage, |(at, with)| {
                let at = whole.floor_char_boundary(at);
                let mut text = whole.clone();
                let end = whole.ceil_char_boundary((at + with.len()).min(whole.len()));
                text.replace_range(at..end, &with);
                check(&text, &mut Tape::new(), &mut Encoder::new());
                Ok(())
            })
            .unwrap();
    }

    #[pg_test]
    #[allow(unsafe_code)]
    fn the_server_reads_back_what_was_compressed() {
        let (mut tape, mut encoder, mut random) = (Tape::new(), Encoder::new(), Random(3));
        let mut toaster = Toaster::new(Method::Pglz, SERVER_MAJOR).unwrap();
        for flavor in FLAVORS {
            for _ in 0..200 {
                let text = statement(&mut random, flavor).canonical();
                let Ok(document) = tape.parse(text.as_bytes()) else { continue };
                let stored = encoder.encode(document);
                let (mut compressed, mut as_is) = (Vec::new(), Vec::new());
                toaster.compressed(stored, &mut compressed);
                plain(stored, &mut as_is);
                assert!(compressed.len() <= as_is.len());
                assert_eq!(content(pg_sys::Datum::from(compressed.as_ptr())), stored);
            }
        }
    }
}
