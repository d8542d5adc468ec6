use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::transform::sample::{Flavor, Random, Sample, statement};

fn refusal(text: impl AsRef<[u8]>) -> Unsupported {
    Tape::new().parse(text.as_ref()).unwrap_err()
}

fn lookup(text: &str, path: &[&str]) -> Option<String> {
    let mut tape = Tape::new();
    let node = tape.parse(text.as_bytes()).unwrap().lookup(path)?;
    node.text().map(Cow::into_owned)
}

#[test]
fn anything_but_strict_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "\"\\",
        "\"\\u12\"",
        "{]",
        "[}",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{a: 1}",
        "{\"a\": 1,}",
        "[1 2]",
        "[1]]",
        "1 2",
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "+1",
        "0x10",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "nul",
        "True",
        "truefalse",
        "1a",
        "\"\t\"",
        "\"\n\"",
        "\"a\u{0}\"",
        "\u{0}",
        "[1\u{0}]",
        "\"\\x\"",
        "\"\\'\"",
        "\"\\u12g4\"",
        "\u{feff}1",
        "[1]\u{a0}",
        "'a'",
        "\u{b}1",
        "{\"a\": 1 \"b\": 2}",
    ] {
        assert_eq!(refusal(text), Unsupported::Syntax, "{text:?}");
    }
}

#[test]
fn each_refusal_names_its_reason() {
    assert_eq!(refusal(b"\"\xff\""), Unsupported::Encoding);
    assert_eq!(refusal(b"\"\xed\xa0\x80\""), Unsupported::Encoding);
    assert_eq!(refusal(r#"{"b": 1, "a": 2}"#), Unsupported::KeyOrder);
    assert_eq!(refusal(r#"{"a": 1, "a": 2}"#), Unsupported::KeyOrder);
    assert_eq!(refusal(r#"{"aa": 1, "b": 2}"#), Unsupported::KeyOrder);
    assert_eq!(refusal(r#"{"a": 1, "\u0061": 2}"#), Unsupported::KeyOrder);
    assert_eq!(refusal("[".repeat(1_001)), Unsupported::Depth);
    assert_eq!(refusal("1e20001"), Unsupported::Number);
    assert_eq!(refusal("1e99999999999999999999"), Unsupported::Number);
    assert_eq!(refusal("1e-16384"), Unsupported::Number);
    assert_eq!(refusal("1".repeat(65_537)), Unsupported::Number);
    assert_eq!(refusal(r#""\u0000""#), Unsupported::NulCharacter);
    assert_eq!(refusal(r#""\ud800""#), Unsupported::Surrogate);
    assert_eq!(refusal(r#""\ud800\u0041""#), Unsupported::Surrogate);
    assert_eq!(refusal(r#""\ud800\ud800""#), Unsupported::Surrogate);
    assert_eq!(refusal(r#""\udc00""#), Unsupported::Surrogate);
    assert_eq!(refusal(" ".repeat(MAX_TEXT + 1)), Unsupported::Size);
}

#[test]
fn nesting_to_the_limit_is_read() {
    let text = "[".repeat(1_000) + &"]".repeat(1_000);
    assert!(Tape::new().parse(text.as_bytes()).is_ok());
}

#[test]
fn paths_find_what_the_server_finds() {
    let text = r#"{"a": [10, {"b": null}, "c"], "kk": {"": true}, "0": "zero"}"#;
    let text =
        &text.replace(r#""kk": {"": true}, "0": "zero"}"#, r#""b": "zero", "kk": {"": true}}"#);
    for (path, expected) in [
        (&["a", "0"][..], Some("10")),
        (&["a", "-3"], Some("10")),
        (&["a", "-1"], Some("c")),
        (&["a", " 2"], Some("c")),
        (&["a", "+2"], Some("c")),
        (&["a", "002"], Some("c")),
        (&["a", "-4"], None),
        (&["a", "3"], None),
        (&["a", "2 "], None),
        (&["a", ""], None),
        (&["a", "x"], None),
        (&["a", "1.0"], None),
        (&["a", "2147483648"], None),
        (&["a", "-2147483648"], None),
        (&["a", "1", "b"], None),
        (&["a", "1"], Some(r#"{"b": null}"#)),
        (&["b"], Some("zero")),
        (&["b", "0"], None),
        (&["kk", ""], Some("true")),
        (&["kk", "x"], None),
        (&["c"], None),
        (&["kkk"], None),
        (&[], Some(text)),
    ] {
        assert_eq!(lookup(text, path).as_deref(), expected, "{path:?}");
    }
    assert_eq!(lookup("5", &[]).as_deref(), Some("5"));
    assert_eq!(lookup("5", &["0"]), None);
    assert_eq!(lookup("null", &[]), None);
}

#[test]
fn strings_come_without_their_escapes_and_numbers_as_jsonb_prints_them() {
    let text = r#"["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00", 1.50e1, -0.0, 29.310, {"a":[1E2 ]}]"#;
    assert_eq!(lookup(text, &["0"]).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\té😀"));
    assert_eq!(lookup(text, &["1"]).as_deref(), Some("15.0"));
    assert_eq!(lookup(text, &["2"]).as_deref(), Some("0.0"));
    assert_eq!(lookup(text, &["3"]).as_deref(), Some("29.310"));
    assert_eq!(lookup(text, &["4"]).as_deref(), Some(r#"{"a": [100]}"#));
}

#[test]
fn looking_a_verbatim_value_up_borrows_it() {
    let text = statement(&mut Random(7), Flavor::Korean).canonical();
    let mut tape = Tape::new();
    let document = tape.parse(text.as_bytes()).unwrap();
    assert!(document.is_canonical());
    for path in
        [&["actor", "account", "name"][..], &["result", "score"], &["result", "score", "raw"]]
    {
        let found = document.lookup(path).unwrap().text().unwrap();
        assert!(matches!(found, Cow::Borrowed(_)), "{path:?}");
    }
}

#[test]
fn a_text_is_canonical_only_as_jsonb_out_writes_it() {
    for (text, canonical) in [
        (r#"{"a": 1, "b": [1, 2, {}], "c": "\u0001\n\\\""}"#, true),
        (r#"{"a":1}"#, false),
        (r#"[1,2]"#, false),
        (r#"[1 , 2]"#, false),
        (r#"[1,  2]"#, false),
        (r#"[ ]"#, false),
        (r#"["\u000A"]"#, false),
        (r#"["\u001F"]"#, false),
        (r#"["\u001f"]"#, true),
        (r#"["\/"]"#, false),
        (r#"["\u0041"]"#, false),
        ("[1e2]", false),
        ("[-0]", false),
    ] {
        let mut tape = Tape::new();
        assert_eq!(tape.parse(text.as_bytes()).unwrap().is_canonical(), canonical, "{text}");
    }
}

#[test]
fn a_tape_forgets_the_document_before() {
    let mut tape = Tape::new();
    assert!(tape.parse(br#"{"a": "\n", "b": ["#).is_err());
    assert_eq!(tape.parse(br#"{"b": 1}"#).unwrap().root().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn canonical_text_comes_back_whole(sample in crate::transform::jsonb::tests::sample()) {
        let text = sample.canonical();
        let mut tape = Tape::new();
        let document = tape.parse(text.as_bytes()).unwrap();
        prop_assert!(document.is_canonical());
        prop_assert_eq!(render::jsonb_text(document, 0), text);
    }

    #[test]
    fn white_space_changes_nothing_but_canonicity(sample in crate::transform::jsonb::tests::sample()) {
        let (Sample::Object(_) | Sample::Array(_)) = sample else { return Ok(()) };
        let text = sample.canonical();
        let loose = format!(" \n{text}\t\r ");
        let mut tape = Tape::new();
        let found = tape.parse(loose.as_bytes()).unwrap().root().text();
        prop_assert_eq!(found.as_deref(), Some(text.as_str()));
    }
}
