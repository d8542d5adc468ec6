//! All shapes of xAPI statements, through the shipped mapping.

use crate::fixture::{Fixture, Rows};

/// What the target holds for a statement, `column` as text.
fn column_of(column: &str, statements: &[&str]) -> Vec<String> {
    let fixture = Fixture::with(&Rows::of(0));
    for (minute, statement) in statements.iter().enumerate() {
        fixture.on_source(&format!(
            "insert into acid.lrs_statement_new values
                 ('2025-04-01 00:00+00'::timestamptz + interval '{minute} minutes', $json${statement}$json$, null)"
        ));
    }
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (i64::try_from(statements.len()).unwrap(), 0));
    let sql = format!(
        "select coalesce({column}::text, '-') from pipeline.aidt_raw order by \"timestamp\""
    );
    fixture.stage().query(&sql, &[]).expect("the column").iter().map(|row| row.get(0)).collect()
}

fn user_ids(actors: &[&str]) -> Vec<String> {
    let statements: Vec<String> =
        actors.iter().map(|actor| format!(r#"{{"actor": {actor}, "object": {{}}}}"#)).collect();
    column_of("user_id", &statements.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn an_agent_is_known_by_account_mbox_sha1sum_or_openid() {
    assert_eq!(
        user_ids(&[
            r#"{"objectType": "Agent", "account": {"homePage": "https://h.example", "name": "Ann \"A\" \\ 学"}}"#,
            r#"{"mbox": "mailto:ann@example.org", "name": "not this"}"#,
            r#"{"mbox_sha1sum": "ebd31e95054c018b10727ccffd2ef2ec3a016ee9"}"#,
            r#"{"openid": "https://ann.example/"}"#,
        ]),
        [
            "Ann \"A\" \\ 学",
            "mailto:ann@example.org",
            "ebd31e95054c018b10727ccffd2ef2ec3a016ee9",
            "https://ann.example/"
        ]
    );
}

#[test]
fn a_group_is_known_as_an_agent_is_and_an_anonymous_one_is_not() {
    assert_eq!(
        user_ids(&[
            r#"{"objectType": "Group", "account": {"homePage": "https://h.example", "name": "class 7"}}"#,
            r#"{"objectType": "Group", "mbox": "mailto:class@example.org", "member": []}"#,
            r#"{"objectType": "Group", "member": [{"mbox": "mailto:ann@example.org"}]}"#,
        ]),
        ["class 7", "mailto:class@example.org", "-"]
    );
}

#[test]
fn the_first_identifier_that_is_there_wins() {
    assert_eq!(
        user_ids(&[
            r#"{"openid": "o", "mbox": "m", "account": {"name": "a"}}"#,
            r#"{"openid": "o", "mbox": "m", "account": {"homePage": "h"}}"#,
            r#"{"openid": "o", "mbox": null}"#,
            r#"{"openid": "", "mbox_sha1sum": null}"#,
        ]),
        ["a", "m", "o", ""]
    );
}

#[test]
fn an_actor_that_is_missing_or_no_object_has_no_user() {
    let statements =
        ["{}", r#"{"actor": "ann"}"#, r#"{"actor": [{"mbox": "m"}]}"#, r#"{"actor": null}"#];
    assert_eq!(column_of("user_id", &statements), ["-"; 4]);
}

#[test]
fn an_object_without_a_type_is_an_activity() {
    assert_eq!(
        column_of(
            "object_type",
            &[
                r#"{"object": {"id": "https://task.example/1"}}"#,
                r#"{"object": {"objectType": "Activity"}}"#,
                r#"{"object": {"objectType": "Agent", "mbox": "m"}}"#,
                r#"{"object": {"objectType": "Group", "member": []}}"#,
                r#"{"object": {"objectType": "StatementRef", "id": "8f87ccde-bb56-4c2e-ab83-44982ef22df0"}}"#,
                r#"{"object": {"objectType": "SubStatement", "object": {"objectType": "Agent"}}}"#,
                r#"{}"#,
            ],
        ),
        ["Activity", "Activity", "Agent", "Group", "StatementRef", "SubStatement", "Activity"]
    );
}

#[test]
fn an_id_is_read_as_the_server_reads_a_uuid() {
    assert_eq!(
        column_of(
            "id",
            &[
                r#"{"id": "8f87ccde-bb56-4c2e-ab83-44982ef22df0"}"#,
                r#"{"id": "8F87CCDE-BB56-4C2E-AB83-44982EF22DF0"}"#,
                r#"{"id": "{8f87ccde-bb56-4c2e-ab83-44982ef22df0}"}"#,
                r#"{"id": "8f87ccdebb564c2eab8344982ef22df0"}"#,
                r#"{"id": "8f87-ccde-bb56-4c2e-ab83-4498-2ef2-2df0"}"#,
            ],
        ),
        ["8f87ccde-bb56-4c2e-ab83-44982ef22df0"; 5]
    );
}

#[test]
fn a_missing_id_is_null() {
    assert_eq!(column_of("id", &["{}", r#"{"id": null}"#]), ["-"; 2]);
}

#[test]
fn the_same_id_twice_makes_two_rows() {
    let statement = r#"{"id": "8f87ccde-bb56-4c2e-ab83-44982ef22df0"}"#;
    assert_eq!(column_of("id", &[statement, statement]).len(), 2);
}

#[test]
fn a_deep_extension_and_every_json_number_arrive_unchanged() {
    let statement = r#"{"result": {"extensions": {"https://e.example/x": [1, -0, 1.10, 1e400, 12345678901234567890123,
        0.1e-7, {"": {"b": [[], {}, "\u00e9\t\"/\\", "\ud83d\ude00"]}}, true, false, null]}}}"#;
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new values ('2025-04-01 00:00+00', $json${statement}$json$, 1)"
    ));
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn a_statement_that_is_nested_hundreds_deep_arrives_as_it_is() {
    let deep = format!("{}1{}", "[".repeat(400), "]".repeat(400));
    let statement = format!(r#"{{"actor": {{"mbox": "m"}}, "result": {{"extensions": {deep}}}}}"#);
    assert_eq!(column_of("user_id", &[&statement]), ["m"]);
}

#[test]
fn statements_of_a_megabyte_arrive_unchanged() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "insert into acid.lrs_statement_new
         select '2025-04-01 00:00+00', jsonb_build_object('n', n, 'same', repeat('x', 1000000),
             'random', (select string_agg(md5(i::text), '') from generate_series(n, n + 30000) i)), n
         from generate_series(1, 12) n",
    );
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn a_statement_of_200_megabytes_passes_among_small_ones() {
    let fixture = Fixture::with(&Rows::of(50));
    fixture.on_source(
        "insert into acid.lrs_statement_new
         select '2025-04-01 00:00+00', jsonb_build_object('id', md5('huge')::uuid,
             'text', repeat(md5('huge'), 200 * 32768)), 7",
    );
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (51, 0));
    let of = |column: &str, table: &str| {
        format!(
            "select md5({column} ->> 'text') || ' ' || length({column} ->> 'text') from {table}
              where {column} ->> 'id' = md5('huge')::uuid::text"
        )
    };
    let sent = fixture.source_value(&of("full_statement", "acid.lrs_statement_new"));
    assert!(sent.ends_with(&format!(" {}", 200 << 20)), "{sent}");
    assert_eq!(fixture.stage_value(&of("statement", "pipeline.aidt_raw")), sent);
}
