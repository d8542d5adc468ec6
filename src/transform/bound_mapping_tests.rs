//! Recipes over hand-made chunks.

use super::*;

/// The mapping that ships with the extension, out of the SQL that installs it.
fn shipped_mapping() -> &'static str {
    include_str!("../../sql/schema/pipeline_aidt.sql").split("$mapping$").nth(1).unwrap()
}

fn chunk(statements: &[&[u8]]) -> RawChunk {
    let mut raw = RawChunk::default();
    for (n, statement) in statements.iter().enumerate() {
        let start = raw.bytes.len();
        raw.bytes.extend_from_slice(statement);
        raw.rows.push(RawRow {
            timestamp: n as i64,
            actor: Some(1),
            statement: Some(start..start + statement.len()),
            extra: vec![],
        });
    }
    raw
}

fn target(name: &str) -> Result<TargetColumn, MappingError> {
    let kind = match name {
        "id" => ColumnKind::Uuid,
        "timestamp" => ColumnKind::TimestampTz,
        "statement" => ColumnKind::Other,
        "short" => ColumnKind::Text { max_chars: Some(3) },
        _ => ColumnKind::Text { max_chars: None },
    };
    Ok(TargetColumn { name: name.into(), kind })
}

fn bound(mapping: &str) -> BoundMapping {
    let mapping = Mapping::parse(mapping).unwrap();
    BoundMapping::new(&mapping, OnBadValue::Reject, "timestamp", 16, target).unwrap()
}

fn apply(bound: &BoundMapping, raw: RawChunk) -> FinishedRows {
    bound.apply(raw, &mut bound.state())
}

fn text_of(out: &FinishedRows, cell: Cell) -> Option<String> {
    match cell {
        Cell::Varlena { at } => {
            let header = u32::from_ne_bytes(out.arena[at..at + 4].try_into().unwrap());
            let length = (header >> 2) as usize;
            Some(String::from_utf8(out.arena[at + 4..at + length].to_vec()).unwrap())
        }
        _ => None,
    }
}

/// The texts that one column of the shipped mapping gets for one statement.
fn shipped(statement: &str, column: &str) -> Option<String> {
    let bound = bound(shipped_mapping());
    let n = bound.columns().position(|c| c.name == column).unwrap();
    let out = apply(&bound, chunk(&[statement.as_bytes()]));
    assert!(out.rejects.is_empty(), "{:?}", out.rejects);
    text_of(&out, out.cells[n])
}

#[test]
fn every_shape_of_actor_gives_its_user_id() {
    for (actor, expected) in [
        (r#"{"account": {"homePage": "h", "name": "n1"}, "mbox": "mailto:x"}"#, Some("n1")),
        (r#"{"objectType": "Group", "mbox": "mailto:x"}"#, Some("mailto:x")),
        (r#"{"mbox_sha1sum": "abc"}"#, Some("abc")),
        (r#"{"openid": "http://o"}"#, Some("http://o")),
        (r#"{"objectType": "Group", "member": [{"mbox": "mailto:m"}]}"#, None),
        ("null", None),
        ("7", None),
    ] {
        let statement = format!(r#"{{"actor": {actor}}}"#);
        assert_eq!(shipped(&statement, "user_id").as_deref(), expected, "{actor}");
    }
}

#[test]
fn an_object_without_a_type_is_an_activity() {
    for (object, expected) in [
        (r#"{"id": "x"}"#, "Activity"),
        (r#"{"objectType": "Agent", "mbox": "m"}"#, "Agent"),
        (r#"{"objectType": "StatementRef", "id": "x"}"#, "StatementRef"),
        (r#"{"objectType": "SubStatement"}"#, "SubStatement"),
        (r#"{"objectType": null}"#, "Activity"),
    ] {
        let statement = format!(r#"{{"object": {object}}}"#);
        assert_eq!(shipped(&statement, "object_type").as_deref(), Some(expected), "{object}");
    }
}

#[test]
fn a_bad_value_rejects_its_row_and_no_other() {
    let good = br#"{"id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}"#;
    let out = apply(
        &bound(r#"{"id": {"path": ["id"]}}"#),
        chunk(&[
            good,
            br#"{"id": "test-1"}"#,
            br#"{}"#,
            b"\"no object\"",
            b"{\"id\": \"\xff\"}",
            b"{broken",
        ]),
    );
    assert_eq!(out.rows, [0, 2, 3]);
    assert_eq!(out.cells.len(), 3);
    let rejects: Vec<_> =
        out.rejects.iter().map(|r| (r.row, r.refusal.sqlstate.as_str())).collect();
    assert_eq!(rejects, [(1, "22P02"), (4, "22021"), (5, "22P02")]);
    assert!(out.rejects[0].refusal.message.contains("test-1"));
}

#[test]
fn a_columns_own_policy_wins() {
    let null = r#"{"short": {"path": ["s"], "on_bad_value": "null"}, "id": {"path": ["id"]}}"#;
    let out = apply(&bound(null), chunk(&[br#"{"s": "abcd"}"#]));
    assert_eq!((out.rows.len(), out.rejects.len()), (1, 0));
    assert!(out.cells.contains(&Cell::Null));

    let abort = r#"{"short": {"path": ["s"], "on_bad_value": "abort"}}"#;
    let out = apply(&bound(abort), chunk(&[br#"{"s": "ok"}"#, br#"{"s": "abcd"}"#]));
    assert_eq!(out.fatal.map(|bad| (bad.row, bad.refusal.sqlstate)), Some((1, "22001".into())));
}

#[test]
fn source_columns_are_numbered_once_and_the_timestamp_needs_no_text() {
    let bound = bound(
        r#"{"timestamp": {"source": "timestamp"}, "a": {"source": "x"}, "b": {"source": "x"},
            "c": {"source": "timestamp"}}"#,
    );
    assert_eq!(bound.extra_columns(), ["x", "timestamp"]);
    let mut raw = chunk(&[b"null"]);
    raw.bytes.extend_from_slice(b"xval2025");
    raw.rows[0].extra = vec![Some(4..8), None];
    let out = apply(&bound, raw);
    let a = bound.columns().position(|c| c.name == "a").unwrap();
    let t = bound.columns().position(|c| c.name == "timestamp").unwrap();
    assert_eq!(text_of(&out, out.cells[a]).as_deref(), Some("xval"));
    assert_eq!(out.cells[t], Cell::TimestampTz(0));
}
