//! Whatever text comes: what the fast reader accepts is JSON, is stored in a form that reads back
//! as the same text, and comes back whole from compression.
//!
//! `cargo fuzz run encode` (nightly, or `RUSTC_BOOTSTRAP=1`).

#![no_main]
#![allow(dead_code)]

// Links to the modules of the same name in src/transform.
mod json;
mod jsonb;
mod pglz;
#[path = "jsonb/reader.rs"]
mod reader;
mod sample;

mod transform {
    pub(crate) use crate::sample;
}

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

fuzz_target!(|text: &[u8]| {
    let mut tape = json::Tape::new();
    let Ok(document) = tape.parse(text) else { return };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.disable_recursion_limit();
    let value = serde_json::Value::deserialize(&mut deserializer);
    assert!(value.is_ok(), "accepted what is no JSON");
    let mut encoder = jsonb::Encoder::new();
    let stored = encoder.encode(document);
    let back = reader::text(stored);
    if document.is_canonical() {
        assert_eq!(back.as_bytes(), text, "stored and read back");
    }
    let mut compressed = Vec::new();
    let limit = stored.len();
    if pglz::Compressor::new().compress(stored, limit, &mut compressed).is_some() {
        let mut whole = vec![0; stored.len()];
        let length = ::pglz::decompress_into(&compressed, &mut whole, true);
        assert_eq!(length, Some(stored.len()));
        assert_eq!(whole, stored, "compressed and back");
    }
});
