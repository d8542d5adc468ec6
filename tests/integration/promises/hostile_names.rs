//! Names and passwords that break whatever is not quoted, and a password that shows nowhere.

use crate::fixture::{Fixture, Pull, Rows, refusal, whole_text};

const HOSTILE_SOURCE: &str = r#"
    create schema "ac;id ""x""";
    create table "ac;id ""x"""."lrs 'st; drop table acid.lrs_statement_new; --" (
        "time ""stamp'" timestamptz not null, "full statement ; ünï" jsonb not null, "actor\id $1" bigint
    ) partition by range ("time ""stamp'");
    create table "ac;id ""x"""."März '25"
        partition of "ac;id ""x"""."lrs 'st; drop table acid.lrs_statement_new; --"
        for values from ('2025-03-01') to ('2025-08-01');
    create index on "ac;id ""x"""."lrs 'st; drop table acid.lrs_statement_new; --" ("time ""stamp'", "actor\id $1");
    insert into "ac;id ""x"""."lrs 'st; drop table acid.lrs_statement_new; --"
        select "timestamp", full_statement, actor_id from acid.lrs_statement_new;
    grant usage on schema "ac;id ""x""" to reader;
    grant select on all tables in schema "ac;id ""x""" to reader"#;

const HOSTILE_PIPELINE: &str = r#"
    create schema "pipe;line ""y""";
    create table "pipe;line ""y"""."aidt 'raw; --" (
        like pipeline.aidt_raw including all, "a ""quoted; column' ünï" text);
    update lrs_extract.pipeline set
        source_table = '"ac;id ""x"""."lrs ''st; drop table acid.lrs_statement_new; --"',
        timestamp_column = 'time "stamp''',
        statement_column = 'full statement ; ünï',
        actor_column = 'actor\id $1',
        target_table = '"pipe;line ""y"""."aidt ''raw; --"',
        mapping = jsonb_set(mapping, '{timestamp}', '{"source": "time \"stamp''"}')
                  || '{"a \"quoted; column'' ünï": {"path": ["object", "it''s \"a\" path\\"], "default": "d''\"\\"}}'"#;

#[test]
fn names_with_quotes_semicolons_and_blanks_are_names() {
    let fixture = Fixture::with(&Rows::of(600).ties(4).nulls_every(3));
    fixture.on_source(HOSTILE_SOURCE);
    fixture.on_stage(HOSTILE_PIPELINE);
    Pull::everything().batch(70).run(&mut fixture.stage());
    fixture.on_stage(
        r#"insert into pipeline.aidt_raw
           select id, user_id, object_type, "statement", "timestamp" from "pipe;line ""y"""."aidt 'raw; --"
           where "a ""quoted; column' ünï" = 'd''"\'"#,
    );
    fixture.assert_all_rows();
}

#[test]
fn a_plan_of_hostile_names_is_made() {
    let fixture = Fixture::with(&Rows::of(600));
    fixture.on_source(HOSTILE_SOURCE);
    fixture.on_stage(HOSTILE_PIPELINE);
    let partitions = fixture
        .stage_value("select min(partition) from lrs_extract.plan('2025-03-01', '2025-08-01')");
    assert!(partitions.contains("März '25"), "{partitions}");
}

#[test]
fn a_pipeline_of_a_hostile_name_runs() {
    let fixture = Fixture::with(&Rows::of(100));
    fixture.on_stage(
        r#"update lrs_extract.pipeline set name = 'ai"dt''; drop schema pipeline; -- ü\'"#,
    );
    fixture.on_stage(
        r#"select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', 30, 'ai"dt''; drop schema pipeline; -- ü\')"#,
    );
    fixture.assert_all_rows();
}

/// A password with everything that a connection string or a literal might stumble over.
const SECRET: &str = r#"S3cr'et "\x; $1 =&@:/ ü"#;

/// A part of it that quoting does not change.
const SECRET_CORE: &str = "S3cr";

/// A fixture whose source role and database have hostile names and whose mapping holds the secret.
fn secret_fixture() -> Fixture {
    let fixture = Fixture::with(&Rows::of(2_000).odd_ids_every(9));
    let password = SECRET.replace('\'', "''");
    let role = format!("re\"ad'er {}", fixture.db);
    let identifier = role.replace('"', "\"\"");
    fixture.on_source(&format!(
        r#"create role "{identifier}" login password '{password}' in role reader"#
    ));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{}', set password '{password}')",
        role.replace('\'', "''")
    ));
    fixture
}

#[test]
fn a_hostile_password_and_user_name_connect() {
    let fixture = secret_fixture();
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn databases_and_callers_of_hostile_names_pull() {
    let fixture = Fixture::with(&Rows::of(100));
    let database = format!(r#"d'b "x"; \ ü {}"#, fixture.db);
    let (identifier, literal) = (database.replace('"', "\"\""), database.replace('\'', "''"));
    fixture
        .pair
        .source
        .connect("postgres")
        .batch_execute(&format!(r#"create database "{identifier}" template {}"#, fixture.db))
        .expect("a source of that name");
    fixture.on_stage(&format!(
        r#"alter server lrs_source options (set dbname '{literal}');
           create role "{identifier}" login superuser;
           create user mapping for "{identifier}" server lrs_source options ({})"#,
        fixture.mapping_options()
    ));
    fixture
        .pair
        .stage
        .connect("postgres")
        .batch_execute(&format!(r#"create database "{identifier}" template {}"#, fixture.db))
        .expect("a stage of that name");
    let copy = Fixture { pair: fixture.pair.clone(), db: database };
    let mut stage = copy.stage();
    stage.batch_execute(&format!(r#"set role "{identifier}""#)).expect("the role");
    assert_eq!(Pull::everything().run(&mut stage).rows, 100);
    assert_eq!(copy.target_rows(), 100);
    assert_eq!(copy.stage_value("select caller from lrs_extract.run"), copy.db);
}

#[test]
fn the_password_is_in_no_ledger_log_or_activity() {
    let fixture = secret_fixture();
    fixture.slow_target(100);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    let activity = "select string_agg(concat_ws(' ', query, application_name, backend_type), ' ') from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()";
    let mut seen = fixture.stage_value(activity) + &fixture.source_value(activity);
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    seen += &whole_text(&refusal(running.result()));
    let tables = fixture.stage_value(
        "select string_agg(c.oid::regclass::text, ' ') from pg_class c
         where relnamespace = 'lrs_extract'::regnamespace and relkind in ('r', 'v')",
    );
    for table in tables.split(' ') {
        seen += &fixture.stage_value(&format!("select string_agg(t::text, ' ') from {table} t"));
    }
    seen += &fixture.pair.stage.log();
    seen += &fixture.pair.source.log();
    assert!(!seen.contains(SECRET_CORE), "the password shows: {}", around(&seen, SECRET_CORE));
}

#[test]
fn the_password_is_not_in_the_words_of_a_refusal() {
    let fixture = secret_fixture();
    for change in [
        "alter server lrs_source options (set dbname 'nirgendwo')",
        "alter server lrs_source options (set host '/nirgendwo')",
        "alter user mapping for current_user server lrs_source options (set user 'niemand')",
    ] {
        fixture.on_stage("update lrs_extract.pipeline set retries = 1, retry_delay = '10 ms'");
        fixture.on_stage(change);
        let words = whole_text(&refusal(Pull::everything().try_run(&mut fixture.stage())));
        assert!(!words.contains(SECRET_CORE), "{words}");
    }
}

fn around(text: &str, part: &str) -> String {
    let place = text.find(part).unwrap_or(0);
    text.chars().skip(place.saturating_sub(200)).take(400).collect()
}
