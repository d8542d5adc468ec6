//! `verify` at the level 'hash': statements of every type and encoding, hostile names, and what
//! cannot be hashed.

use crate::fixture::{Fixture, Pair, Rows};

/// A fixture that reads, as its whole source, a table of such statements, one a minute of the first of
/// April.
fn fixture_of(statement_type: &str, statements: &[&str]) -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(&format!(
        "create table acid.odd (\"timestamp\" timestamptz not null,
                                full_statement {statement_type}, actor_id bigint);
         grant select on acid.odd to reader"
    ));
    for (minute, statement) in statements.iter().enumerate() {
        fixture.on_source(&format!(
            "insert into acid.odd values
                 ('2025-04-01 00:00+00'::timestamptz + interval '{minute} minutes', {statement}, {minute})"
        ));
    }
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.odd'");
    fixture
}

const CALL: &str = "lrs_extract.verify('2025-03-01', '2025-08-01', level => 'hash')";

/// Rows of the source, of the target and rejected, and whether all slices are ok.
fn hashed(fixture: &Fixture) -> String {
    fixture.stage_value(&format!(
        "select format('%s %s %s %s', sum(source_rows), sum(target_rows), sum(rejected_rows), bool_and(ok))
         from {CALL}"
    ))
}

fn change_one(fixture: &Fixture, target: &str, column: &str, statement: &str) {
    fixture.on_stage(&format!(
        "update {target} set {column} = '{statement}' where \"timestamp\" =
             (select min(\"timestamp\") from {target})"
    ));
}

#[test]
fn json_and_text_are_compared_as_jsonb() {
    for kind in ["json", "text", "varchar"] {
        let fixture = fixture_of(
            kind,
            &[
                r#"'{"b": 1.50, "a": [1 ,2],  "b": 1e3}'"#,
                r#"' {"object":{ },"actor": "\u00e9 학"}'"#,
                r#"'{"id": "no uuid",   "z": null}'"#,
            ],
        );
        fixture.pull_all();
        assert_eq!(hashed(&fixture), "3 2 1 t", "{kind}");
        change_one(&fixture, "pipeline.aidt_raw", "\"statement\"", r#"{"b": 1000.0, "a": [1, 2]}"#);
        assert_eq!(hashed(&fixture), "3 2 1 f", "{kind}");
    }
}

#[test]
fn a_target_of_text_or_json_is_compared_as_jsonb() {
    for kind in ["json", "text"] {
        let fixture =
            fixture_of(kind, &[r#"'{"b":1,  "a":2}'"#, r#"'{"id": "no uuid", "x":  1}'"#]);
        fixture.on_stage(&format!(
            "alter table pipeline.aidt_raw alter \"statement\" type {kind} using null"
        ));
        fixture.pull_all();
        assert_eq!(hashed(&fixture), "2 1 1 t", "{kind}");
        change_one(&fixture, "pipeline.aidt_raw", "\"statement\"", r#"{"a":2,"b":1}"#);
        assert_eq!(hashed(&fixture), "2 1 1 t", "{kind}: the same value");
        change_one(&fixture, "pipeline.aidt_raw", "\"statement\"", r#"{"a":2,"b":2}"#);
        assert_eq!(hashed(&fixture), "2 1 1 f", "{kind}");
    }
}

#[test]
fn no_statement_is_another_than_json_null_or_an_empty_one() {
    let fixture = fixture_of("jsonb", &["null", "'null'", "'{}'"]);
    fixture.pull_all();
    assert_eq!(hashed(&fixture), "3 3 0 t");
    fixture.on_stage(
        "update pipeline.aidt_raw set \"statement\" = 'null' where \"statement\" is null",
    );
    assert_eq!(hashed(&fixture), "3 3 0 f");
}

#[test]
fn the_mappings_default_stands_for_no_statement() {
    let fixture = fixture_of("jsonb", &["null", r#"'{"id": "no uuid"}'"#, r#"'{"a": 1}'"#]);
    fixture.on_stage(
        r#"update lrs_extract.pipeline set mapping = mapping ||
               '{"statement": {"statement": true, "default": {"none": true}}}'"#,
    );
    fixture.pull_all();
    assert_eq!(
        fixture.stage_value("select min(\"statement\"::text) from pipeline.aidt_raw"),
        r#"{"a": 1}"#
    );
    assert_eq!(hashed(&fixture), "3 2 1 t");
}

fn assert_not_ok_with_a_way_out(fixture: &Fixture) {
    let (mut session, notices) = fixture.stage_with_notices();
    let ok = session.query_one(&format!("select bool_and(ok) from {CALL}"), &[]);
    assert!(!ok.expect("a comparison").get::<_, bool>(0));
    let said = notices.all().join(" ");
    assert!(said.contains("22P02") && said.contains("'count'"), "{said}");
}

#[test]
fn a_source_that_is_no_json_is_told_so_with_a_way_out() {
    let fixture = fixture_of("text", &["'{}'", r#"'{"half": '"#]);
    fixture.pull_all();
    assert_not_ok_with_a_way_out(&fixture);
    let counted = "select bool_and(ok) from lrs_extract.verify('2025-03-01', '2025-08-01')";
    assert_eq!(fixture.stage_value(counted), "true");
}

#[test]
fn a_target_that_is_no_json_is_told_so_with_a_way_out() {
    let fixture = fixture_of("text", &["'{}'"]);
    fixture.on_stage("alter table pipeline.aidt_raw alter \"statement\" type text");
    fixture.pull_all();
    change_one(&fixture, "pipeline.aidt_raw", "\"statement\"", "{\"half\": ");
    assert_not_ok_with_a_way_out(&fixture);
}

/// A fixture whose source database has another encoding. Keys of the same statement come in another
/// order there, since jsonb sorts them by length and value of their bytes.
fn fixture_of_encoding(encoding: &str, statements: &[&str]) -> Fixture {
    let fixture = Fixture::bare(Pair::shared());
    let db = format!("{}_{}", fixture.db, encoding.to_lowercase());
    fixture.on_source(&format!("create database {db} encoding '{encoding}' template template0"));
    let mut source = fixture.pair.source.connect(&db);
    source
        .batch_execute(
            "create schema acid;
             create table acid.lrs_statement_new (
                 \"timestamp\" timestamptz not null, full_statement jsonb not null, actor_id bigint);
             grant usage on schema acid to reader;
             grant select on acid.lrs_statement_new to reader",
        )
        .expect("the table");
    for statement in statements {
        let sql =
            "insert into acid.lrs_statement_new values ('2025-04-01 00:00+00', $1::text::jsonb, 1)";
        source.execute(sql, &[statement]).expect("a row");
    }
    fixture.connect_stage_to_source("");
    fixture.on_stage(&format!("alter server lrs_source options (set dbname '{db}')"));
    fixture.pull_all();
    fixture
}

#[test]
fn a_source_of_another_encoding_has_the_same_hashes() {
    for (encoding, statements) in [
        (
            "EUC_KR",
            [
                r#"{"가": 1, "abc": [{"학생": {"나": "다", "xyz": null}}, {}, [], "라"], "de": 2.50}"#,
                r#"{"id": "no uuid", "나": 1, "abc": 2}"#,
                r#"{"only": "ascii", "abc": 1, "de": []}"#,
            ],
        ),
        (
            "LATIN1",
            [
                r#"{"ä": 1, "bb": [{"öü": {"é": "ß", "xy": null}}, {}, [], "ñ"], "de": 2.50}"#,
                r#"{"id": "no uuid", "ä": 1, "bb": 2}"#,
                r#"{"only": "ascii", "abc": 1, "de": []}"#,
            ],
        ),
    ] {
        let fixture = fixture_of_encoding(encoding, &statements);
        assert_eq!(hashed(&fixture), "3 2 1 t", "{encoding}");
        // The last letter of a value, deep inside; then the same values at other places.
        let change = |from: &str, to: &str| {
            fixture.on_stage(&format!(
                "update pipeline.aidt_raw set \"statement\" =
                     replace(\"statement\"::text, '{from}', '{to}')::jsonb"
            ));
        };
        let (good, bad) = if encoding == "EUC_KR" { ("다", "라") } else { ("ß", "ñ") };
        change(&format!("\"{good}\""), "\"other\"");
        assert_eq!(hashed(&fixture), "3 2 1 f", "{encoding}");
        change("\"other\"", &format!("\"{good}\""));
        assert_eq!(hashed(&fixture), "3 2 1 t", "{encoding}");
        change(&format!("{{}}, [], \"{bad}\""), &format!("[], {{}}, \"{bad}\""));
        assert_eq!(hashed(&fixture), "3 2 1 f", "{encoding}");
    }
}

#[test]
fn names_with_quotes_semicolons_and_line_breaks_are_names() {
    let fixture = Fixture::with(&Rows::of(200).ties(3).odd_ids_every(20));
    fixture.on_source(
        "create schema \"ac;id \"\"x\"\"\";
         create table \"ac;id \"\"x\"\"\".\"lrs 'st; --\" (
             \"time \"\"stamp'\" timestamptz not null, \"full\n); -- {statement} ünï\" json, \"actor\\id $1\" int
         );
         insert into \"ac;id \"\"x\"\"\".\"lrs 'st; --\" select * from acid.lrs_statement_new;
         grant usage on schema \"ac;id \"\"x\"\"\" to reader;
         grant select on all tables in schema \"ac;id \"\"x\"\"\" to reader",
    );
    fixture.on_stage(
        r#"create schema "pipe;line ""y""";
           alter table pipeline.aidt_raw set schema "pipe;line ""y""";
           alter table "pipe;line ""y""".aidt_raw rename to "aidt 'raw; --";
           alter table "pipe;line ""y"""."aidt 'raw; --" rename "timestamp" to "$1 ""at""' {hash}";
           alter table "pipe;line ""y"""."aidt 'raw; --" rename "statement" to "state
); -- {text} ment";
           update lrs_extract.pipeline set
               name = 'ai"dt''; --',
               source_table = '"ac;id ""x"""."lrs ''st; --"',
               timestamp_column = 'time "stamp''',
               statement_column = E'full\n); -- {statement} ünï',
               actor_column = 'actor\id $1',
               target_table = '"pipe;line ""y"""."aidt ''raw; --"',
               mapping = '{"id": {"path": ["id"]},
                           "$1 \"at\"'' {hash}": {"source": "time \"stamp''"},
                           "state\n); -- {text} ment": {"statement": true, "default": "{\"d''\": \"\\\\ $1 {hash}\"}"}}'"#,
    );
    fixture.on_stage(
        r#"select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', 30, 'ai"dt''; --')"#,
    );
    let verified = fixture.stage_value(
        r#"select format('%s %s %s %s', sum(source_rows), sum(target_rows), sum(rejected_rows), bool_and(ok))
           from lrs_extract.verify('2025-03-01', '2025-08-01', 'ai"dt''; --', 'hash')"#,
    );
    assert_eq!(verified, "200 190 10 t");
}
