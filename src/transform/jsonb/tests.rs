use proptest::prelude::*;

use super::{Encoder, reader};
use crate::transform::json::{Tape, Unsupported};
use crate::transform::sample::{FLAVORS, Random, Sample, statement};

fn encoded(text: &str) -> Vec<u8> {
    let mut tape = Tape::new();
    Encoder::new().encode(tape.parse(text.as_bytes()).unwrap()).to_vec()
}

/// JSON of every shape, numbers in plain notation, so that its text is its jsonb's text.
pub fn sample() -> impl Strategy<Value = Sample> {
    let number = prop_oneof![
        "(0|-?[1-9][0-9]{0,8})",
        "(0|-?[1-9][0-9]{0,3})\\.[0-9]{0,20}[1-9]",
        "(0|-?[1-9][0-9]{0,60})\\.[0-9]{0,8}0",
        "-?[1-9][0-9]{0,40}0{0,30}",
        "0\\.0{0,300}[0-9]{1,5}",
    ]
    .prop_filter("jsonb has no negative zero", |text| {
        !text.starts_with("-0.") || text.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
    });
    let key = prop_oneof![4 => "[a-f]{0,3}", 1 => any::<String>(), 1 => "[가-힣]{1,4}"]
        .prop_map(without_nul);
    let text = prop_oneof![
        4 => "[ -~]{0,70}", 1 => "[가-힣 \"\\\\\n\u{1}]{0,40}", 1 => any::<String>()
    ]
    .prop_map(without_nul);
    let leaf = prop_oneof![
        3 => number.prop_map(Sample::Raw),
        3 => text.prop_map(Sample::Text),
        1 => prop::sample::select(vec!["true", "false", "null"]).prop_map(|word| Sample::Raw(word.to_owned())),
    ];
    leaf.prop_recursive(6, 200, 80, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..70).prop_map(Sample::Array),
            prop::collection::vec((key.clone(), inner), 0..40).prop_map(Sample::Object),
        ]
    })
}

fn without_nul(text: String) -> String {
    text.replace('\0', "")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_was_written_reads_back_as_the_text(sample in sample()) {
        let text = sample.canonical();
        prop_assert_eq!(reader::text(&encoded(&text)), text);
    }

    #[test]
    fn one_encoder_serves_many_documents(samples in prop::collection::vec(sample(), 1..6)) {
        let (mut tape, mut encoder) = (Tape::new(), Encoder::new());
        for sample in samples {
            let text = sample.canonical();
            let stored = encoder.encode(tape.parse(text.as_bytes()).unwrap());
            prop_assert_eq!(stored, encoded(&text));
        }
    }

    #[test]
    fn damaged_text_is_refused_or_written_whole(sample in sample(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = sample.canonical().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let mut tape = Tape::new();
        if let Ok(document) = tape.parse(&text) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok() || has_huge_number(&text));
            let expected = document.root().text().map(|text| text.into_owned());
            let stored = reader::text(Encoder::new().encode(document));
            if stored != "null" && !stored.starts_with('"') {
                prop_assert_eq!(Some(stored), expected);
            }
        }
    }
}

/// serde_json refuses numbers beyond a double, which numeric holds.
fn has_huge_number(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'e' | b'E'))
        || text.windows(200).any(|window| window.iter().all(u8::is_ascii_digit))
}

#[test]
fn statements_read_back_as_their_text() {
    let mut random = Random(1);
    for _ in 0..200 {
        for flavor in FLAVORS {
            let text = statement(&mut random, flavor).canonical();
            assert_eq!(reader::text(&encoded(&text)), text);
        }
    }
}

#[test]
fn numbers_with_exponents_are_stored_in_plain_notation() {
    for (number, plain) in [
        ("1e5", "100000"),
        ("-1.5E-3", "-0.0015"),
        ("-0.0", "0.0"),
        ("0e-70", &format!("0.{}", "0".repeat(70))),
    ] {
        assert_eq!(encoded(&format!("[{number}]")), encoded(&format!("[{plain}]")), "{number}");
    }
}

#[test]
fn the_widest_numbers_have_long_headers() {
    for text in [
        format!("1{}", "0".repeat(256)),
        format!("0.{}1", "0".repeat(255)),
        format!("0.{}1", "0".repeat(256)),
        format!("1.{}", "0".repeat(16_383)),
    ] {
        assert_eq!(reader::text(&encoded(&text)), text);
    }
    let mut tape = Tape::new();
    let text = format!("1.{}", "0".repeat(16_384));
    assert_eq!(tape.parse(text.as_bytes()).unwrap_err(), Unsupported::Number);
}

/// Taken from a PostgreSQL 15, as the content of `'…'::jsonb`.
#[test]
fn the_bytes_are_the_servers() {
    for (text, stored) in [
        (
            r#"{"a": 29.310, "b": [1, -20000, 0.0000123], "cc": {"x": null, "한": "글"}}"#,
            "030000200100008001000000020000000a0000102a0000501b000050616263632800000080811d001c0c00000300004008000090080000100800001020000000008001002000000001a0020020000000fe83ce04020000200100008003000000000000400300000078ed959ceab880",
        ),
        (r#""scalar""#, "01000050060000807363616c6172"),
        (r#"-0.00"#, "0100005006000090180000000081"),
        (r#"[]"#, "00000040"),
        (r#"{}"#, "00000020"),
        (
            r#"[true, false, {"k": "\"\n"}, 100000000, 1e-70]"#,
            "05000040000000b0000000200f000050090000100a0000100100002001000080020000006b220a002000000002800100280000004600eeff6400",
        ),
        (
            r#"["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33"]"#,
            "220000400100008001000000010000000100000001000000010000000100000001000000010000000100000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000380000800200000030313233343536373839313031313132313331343135313631373138313932303231323232333234323532363237323832393330333133323333",
        ),
    ] {
        let ours: String = encoded(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ours, stored, "{text}");
    }
}
