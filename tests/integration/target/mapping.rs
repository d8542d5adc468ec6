//! The mapping: every kind of value source, and what is refused before anything is read.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

const WHOLE: &str = r#"{"id": "8f87ccde-bb56-4c2e-ab83-44982ef22df0", "actor": {"mbox": "m", "name": "Ann"},
    "object": {"id": "o"}, "result": {"score": 7.50, "success": true, "parts": [1, {"a": 2}], "none": null}}"#;

fn fixture() -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new values ('2025-04-01 12:00+00', $json${WHOLE}$json$, 77)"
    ));
    fixture
}

fn set_mapping(fixture: &Fixture, mapping: &str) -> Result<(), postgres::Error> {
    fixture
        .stage()
        .batch_execute(&format!("update lrs_extract.pipeline set mapping = $json${mapping}$json$"))
}

/// The one target row as JSON, after a pull with this mapping.
fn pulled_row(fixture: &Fixture, mapping: &str, columns: &str) -> String {
    set_mapping(fixture, mapping).expect("a good mapping");
    assert_eq!(fixture.pull_all().rows, 1);
    fixture.stage_value(&format!("select row({columns}) from pipeline.aidt_raw"))
}

/// Refused, either as it is set or as it is used, in words that contain `said`; nothing was read.
fn assert_refused(mapping: &str, said: &str) {
    let fixture = fixture();
    let refused = match set_mapping(&fixture, mapping) {
        Err(error) => refusal::<()>(Err(error)),
        Ok(()) => refusal(Pull::everything().try_run(&mut fixture.stage())),
    };
    let words = whole_text(&refused);
    assert!(words.contains(said), "{said:?} in {words}");
    assert!(["22", "42"].contains(&&refused.code().code()[..2]), "{words}");
    assert!(refused.hint().is_some(), "a hint in {words}");
    assert_eq!((fixture.target_rows(), fixture.committed_batches()), (0, 0));
}

#[test]
fn values_come_from_paths_sources_constants_and_the_statement() {
    let fixture = fixture();
    fixture.on_stage("alter table pipeline.aidt_raw add actor bigint, add score numeric, add success boolean, add part int");
    let mapping = r#"{
        "user_id": {"path": ["actor", "name"]},
        "object_type": {"first_of": [["object", "objectType"], ["object", "id"]]},
        "timestamp": {"source": "timestamp"},
        "actor": {"source": "actor_id"},
        "partner_id": {"const": "A"},
        "statement": {"statement": true},
        "score": {"path": ["result", "score"]},
        "success": {"path": ["result", "success"]},
        "part": {"path": ["result", "parts", "1", "a"]}
    }"#;
    let columns = "user_id, object_type, \"timestamp\" at time zone 'UTC', actor, partner_id, flag, score, \
                   success, part, id";
    assert_eq!(
        pulled_row(&fixture, mapping, columns),
        "(Ann,o,\"2025-04-01 12:00:00\",77,A,N,7.50,t,2,)"
    );
}

#[test]
fn a_path_to_an_object_or_array_gives_its_json() {
    let mapping =
        r#"{"user_id": {"path": ["result", "parts"]}, "statement": {"path": ["object"]}}"#;
    let columns = "user_id::jsonb = '[1, {\"a\": 2}]', \"statement\" = '{\"id\": \"o\"}'";
    assert_eq!(pulled_row(&fixture(), mapping, columns), "(t,t)");
}

#[test]
fn a_default_stands_in_for_what_is_missing_or_null() {
    let mapping = r#"{
        "user_id": {"path": ["actor", "nothing"], "default": "nobody"},
        "object_type": {"first_of": [["x"], ["y", "z"]], "default": "Activity"},
        "partner_id": {"path": ["result", "none"], "default": "none"}
    }"#;
    assert_eq!(
        pulled_row(&fixture(), mapping, "user_id, object_type, partner_id"),
        "(nobody,Activity,none)"
    );
}

#[test]
fn a_column_that_is_not_named_takes_its_default() {
    let fixture = fixture();
    fixture.on_stage("alter table pipeline.aidt_raw alter partner_id set default 'of the table'");
    let mapping = r#"{"statement": {"statement": true}}"#;
    let columns = "partner_id, flag, inserted_at is not null, id";
    assert_eq!(pulled_row(&fixture, mapping, columns), "(\"of the table\",N,t,)");
}

#[test]
fn a_refusal_shows_no_backtrace() {
    let fixture = fixture();
    fixture.on_stage("update lrs_extract.pipeline set mapping = '{\"id\": \"id\"}'");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    let said = whole_text(&refused);
    assert!(said.contains("write an origin") && !said.contains("backtrace"), "{said}");
    assert!(!said.contains(".rs:") && !said.contains("at /"), "{said}");
}

#[test]
fn an_unknown_key_is_refused() {
    assert_refused(r#"{"id": {"paht": ["id"]}}"#, "paht");
}

#[test]
fn an_unknown_key_beside_a_known_one_is_refused() {
    assert_refused(r#"{"id": {"path": ["id"], "defualt": "x"}}"#, "defualt");
}

#[test]
fn a_column_that_the_target_lacks_is_refused() {
    assert_refused(r#"{"idd": {"path": ["id"]}}"#, "idd");
}

#[test]
fn two_places_for_one_value_are_refused() {
    assert_refused(r#"{"id": {"path": ["id"], "first_of": [["id"]]}}"#, "id");
}

#[test]
fn no_place_for_a_value_is_refused() {
    assert_refused(r#"{"id": {}}"#, "id");
}

#[test]
fn an_empty_mapping_is_refused() {
    assert_refused("{}", "mapping");
}

#[test]
fn a_mapping_that_is_no_object_is_refused() {
    assert_refused(r#"[1]"#, "mapping");
}

#[test]
fn an_unknown_word_for_bad_values_is_refused() {
    assert_refused(r#"{"id": {"path": ["id"], "on_bad_value": "shrug"}}"#, "shrug");
}

#[test]
fn a_column_that_the_source_lacks_is_refused() {
    assert_refused(r#"{"id": {"source": "identity"}}"#, "identity");
}

#[test]
fn a_generated_column_as_a_destination_is_refused() {
    let fixture = fixture();
    fixture.on_stage("alter table pipeline.aidt_raw add doubled text generated always as (user_id || user_id) stored");
    set_mapping(&fixture, r#"{"doubled": {"path": ["id"]}}"#).expect("kept");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert!(whole_text(&refused).contains("doubled"), "{}", whole_text(&refused));
}

#[test]
fn a_missing_target_is_refused_by_name() {
    let fixture = fixture();
    let refused = match fixture
        .stage()
        .batch_execute("update lrs_extract.pipeline set target_table = 'pipeline.nowhere'")
    {
        Err(error) => refusal::<()>(Err(error)),
        Ok(()) => refusal(Pull::everything().try_run(&mut fixture.stage())),
    };
    assert!(whole_text(&refused).contains("nowhere"), "{}", whole_text(&refused));
    assert_eq!(fixture.committed_batches(), 0);
}
