//! Values are what an INSERT of the same texts would have made of them: lengths, precisions, time zones,
//! domains, and numbers however the source writes them.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};
use crate::functions::replay::replayed;

/// A source whose statements are json: their text is as it was written.
fn fixture_of_json(statements: &[&str]) -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "create table acid.written (\"timestamp\" timestamptz not null, full_statement json not null,
                                    actor_id bigint, at timestamptz, clock timestamp, word text);
         create index on acid.written (\"timestamp\", actor_id);
         grant select on acid.written to reader",
    );
    for (n, statement) in statements.iter().enumerate() {
        fixture.on_source(&format!(
            "insert into acid.written values
                 (timestamptz '2025-04-01 20:30:15.678901+00' + interval '{n} days', $json${statement}$json$, {n},
                  '2025-04-01 20:30:15.5+00', '2025-04-01 20:30:15.5', '2025-04-01 20:30')"
        ));
    }
    fixture.on_stage(
        "update lrs_extract.pipeline set source_table = 'acid.written', mapping = mapping - 'id'",
    );
    fixture
}

/// Adds columns to the target and to the mapping, each as `name type origin`.
fn add(fixture: &Fixture, columns: &[(&str, &str, &str)]) {
    for (name, data_type, origin) in columns {
        fixture.on_stage(&format!(
            "alter table pipeline.aidt_raw add {name} {data_type};
             update lrs_extract.pipeline set mapping = mapping || $json${{\"{name}\": {origin}}}$json$"
        ));
    }
}

/// The columns of the target whose value is not that of the expression.
fn wrong(fixture: &Fixture, expected: &[(&str, &str)]) -> Vec<String> {
    expected
        .iter()
        .filter_map(|(column, expression)| {
            let sql = format!(
                "select string_agg({column}::text || ' is no ' || coalesce(({expression})::text, 'null'), '; ')
                   from pipeline.aidt_raw where {column}::text is distinct from ({expression})::text"
            );
            Some(fixture.stage_value(&sql)).filter(|found| !found.is_empty())
        })
        .collect()
}

#[test]
fn times_of_the_source_are_what_a_cast_in_the_callers_session_makes_of_them() {
    for commit in ["batch", "caller"] {
        let fixture = fixture_of_json(&["{}", "{}", "{}"]);
        let key = r#"{"source": "timestamp"}"#;
        let at = r#"{"source": "at"}"#;
        add(
            &fixture,
            &[
                ("whole", "timestamptz(0)", key),
                ("tenths", "timestamptz(1)", at),
                ("local", "timestamp", key),
                ("local0", "timestamp(0)", at),
                ("day", "date", key),
                ("hour", "time(0)", at),
                ("clock", "timestamp", r#"{"source": "clock"}"#),
                ("word", "timestamp", r#"{"source": "word"}"#),
                ("clocked", "timestamptz", r#"{"source": "clock"}"#),
                ("other", "timestamp", r#"{"path": ["no"], "default": "2025-01-01 00:00+00"}"#),
            ],
        );
        let mut session = fixture.stage();
        session.batch_execute("set timezone = 'Asia/Seoul'").expect("a setting");
        Pull::everything().commit(commit).run(&mut session);
        let zone = "set timezone = 'Asia/Seoul'";
        fixture.on_stage(&format!("alter database {} {zone}", fixture.db));
        let at = "timestamptz '2025-04-01 20:30:15.5+00'";
        let wrong = wrong(
            &fixture,
            &[
                ("whole", "\"timestamp\"::timestamptz(0)"),
                ("tenths", &format!("{at}::timestamptz(1)")),
                ("local", "\"timestamp\"::timestamp"),
                ("local0", &format!("{at}::timestamp::timestamp(0)")),
                ("day", "\"timestamp\"::date"),
                ("hour", &format!("{at}::time(0)")),
                ("clock", "timestamp '2025-04-01 20:30:15.5'"),
                ("word", "timestamp '2025-04-01 20:30'"),
                ("clocked", "timestamp '2025-04-01 20:30:15.5'::timestamptz"),
                ("other", "timestamp '2025-01-01 00:00'"),
            ],
        );
        assert!(wrong.is_empty(), "{commit}: {wrong:#?}");
        assert_eq!(
            fixture.stage_value("select count(*) from pipeline.aidt_raw where day = '2025-04-02'"),
            "1"
        );
    }
}

#[test]
fn a_reject_keeps_the_zone_of_its_times() {
    let fixture = fixture_of_json(&["{}"]);
    add(&fixture, &[("local", "timestamp", r#"{"source": "at"}"#)]);
    fixture.on_stage("alter table pipeline.aidt_raw add constraint none check (false)");
    let mut session = fixture.stage();
    session.batch_execute("set timezone = 'Asia/Seoul'").expect("a setting");
    assert_eq!(Pull::everything().run(&mut session).rejected, 1);
    fixture.on_stage(&format!(
        "alter table pipeline.aidt_raw drop constraint none;
         alter database {} set timezone = 'Asia/Seoul'",
        fixture.db
    ));
    assert_eq!(replayed(&fixture), 1);
    assert_eq!(fixture.stage_value("select local from pipeline.aidt_raw"), "2025-04-02 05:30:15.5");
}

const STATEMENT: &str = r#"{"z": 1.5e2, "whole_number": 1.5e2, "n": 12.345, "v": "abc  ", "b": "101", "iv": "1 02:03:04", "tm": "10:11:12.6",
    "c": "ab", "en": "red", "dom": 7, "arr": "{1, 2}", "jd": "text", "jo": {"b": 2E+3, "aa": [1.0, "x"], "b": 3e2}, "xml": "<a/>"}"#;

#[test]
fn values_of_paths_are_what_an_insert_makes_of_their_texts() {
    let fixture = fixture_of_json(&[STATEMENT, "{}"]);
    fixture.on_stage(
        "create type pipeline.colour as enum ('red', 'green');
         create domain pipeline.small as int check (value < 10);
         create domain pipeline.document as jsonb check (jsonb_typeof(value) <> 'array');
         create domain pipeline.letter as pipeline.document",
    );
    let path = |key: &str| format!(r#"{{"path": ["{key}"]}}"#);
    let columns = [
        ("z", "text", "\"statement\" #>> '{z}'"),
        ("whole_number", "int", "(\"statement\" #>> '{whole_number}')::int"),
        ("n", "numeric(10,2)", "(\"statement\" #>> '{n}')::numeric(10,2)"),
        ("v", "varchar(4)", "(\"statement\" #>> '{v}')::varchar(4)"),
        ("b", "bit(3)", "(\"statement\" #>> '{b}')::bit(3)"),
        ("iv", "interval hour to minute", "(\"statement\" #>> '{iv}')::interval hour to minute"),
        ("tm", "time(0)", "(\"statement\" #>> '{tm}')::time(0)"),
        ("c", "char(4)", "(\"statement\" #>> '{c}')::char(4)"),
        ("en", "pipeline.colour", "(\"statement\" #>> '{en}')::pipeline.colour"),
        ("dom", "pipeline.small", "(\"statement\" #>> '{dom}')::int"),
        ("arr", "numeric(5,1)[]", "(\"statement\" #>> '{arr}')::numeric(5,1)[]"),
        ("jd", "pipeline.letter", "\"statement\" #> '{jd}'"),
        ("jo", "text", "\"statement\" #>> '{jo}'"),
    ];
    let added = columns.map(|(name, data_type, _)| (name, data_type, path(name)));
    let added: Vec<(&str, &str, &str)> =
        added.iter().map(|(n, t, o)| (*n, *t, o.as_str())).collect();
    add(&fixture, &added);
    let pulled = fixture.pull_all();
    let reasons = "select string_agg(column_name || ': ' || message, '; ') from lrs_extract.reject";
    assert_eq!((pulled.rows, pulled.rejected), (2, 0), "{}", fixture.stage_value(reasons));
    let wrong = wrong(&fixture, &columns.map(|(name, _, expression)| (name, expression)));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(fixture.stage_value("select max(whole_number) from pipeline.aidt_raw"), "150");
    // The fast reader and the server's own make the same of it.
    fixture.on_stage(&format!(
        "alter database {} set lrs_extract.fast_jsonb = off;
         truncate pipeline.aidt_raw; select lrs_extract.forget('2025-03-01', '2025-08-01')",
        fixture.db
    ));
    assert_eq!(fixture.pull_all().rows, 2);
}

#[test]
fn what_a_length_a_domain_or_an_enum_refuses_is_rejected() {
    for (data_type, value, sqlstate) in [
        ("bit(5)", r#""101""#, "22026"),
        ("numeric(4,2)", "123.4", "22003"),
        ("char(2)", r#""abc""#, "22001"),
        ("pipeline.small", "70", "23514"),
        ("pipeline.colour", r#""blue""#, "22P02"),
        ("pipeline.document", "[1]", "23514"),
        ("varchar(2)[]", r#""{abc}""#, "22001"),
    ] {
        let fixture = fixture_of_json(&[&format!("{{\"x\": {value}}}"), "{}"]);
        fixture.on_stage(
            "create type pipeline.colour as enum ('red', 'green');
             create domain pipeline.small as int check (value < 10);
             create domain pipeline.document as jsonb check (jsonb_typeof(value) <> 'array')",
        );
        add(&fixture, &[("x", data_type, r#"{"path": ["x"]}"#)]);
        let pulled = fixture.pull_all();
        assert_eq!((pulled.rows, pulled.rejected), (1, 1), "{data_type}");
        let said =
            fixture.stage_value("select column_name || ' ' || sqlstate from lrs_extract.reject");
        assert_eq!(said, format!("x {sqlstate}"), "{data_type}");
    }
}

#[test]
fn a_constant_or_a_default_that_its_column_does_not_take_is_refused_at_the_start() {
    for (data_type, origin, fits) in [
        ("jsonb", r#"{"path": ["no"], "default": "A"}"#, false),
        ("jsonb", r#"{"path": ["no"], "default": "\"A\""}"#, true),
        ("jsonb", r#"{"path": ["no"], "default": {"a": 1}}"#, true),
        ("json", r#"{"const": "{"}"#, false),
        ("pipeline.document", r#"{"path": ["no"], "default": "A"}"#, false),
        ("int", r#"{"path": ["no"], "default": "none"}"#, false),
        ("int", r#"{"const": 7}"#, true),
        ("varchar(2)", r#"{"const": "long"}"#, false),
        ("timestamptz", r#"{"const": "now"}"#, true),
    ] {
        let fixture = fixture_of_json(&["{}"]);
        fixture.on_stage("create domain pipeline.document as jsonb");
        add(&fixture, &[("x", data_type, origin)]);
        let outcome = Pull::everything().try_run(&mut fixture.stage());
        assert_eq!(outcome.is_ok(), fits, "{data_type} {origin}");
        if !fits {
            let refused = refusal(outcome);
            let words = whole_text(&refused);
            assert_eq!(refused.code().code(), "22023", "{words}");
            assert!(words.contains("\"x\""), "{words}");
        }
    }
}
