//! Rows that the source cannot send: the others arrive, and such a one is named by its key.

use crate::fixture::{Fixture, Pair, Pull, Rows, refusal, whole_text};
use crate::functions::replay::{reasons, rejects, replayed};

const ROWS: i64 = 3_000;
/// Bad ones, the first of which share a timestamp, and two of those an actor too, with good rows.
const BAD: &str = "n in (100, 101, 777, 2500)";

/// A table with a further column, whose value the source cannot write out in four rows: its label is gone.
fn fixture_with_lost_labels() -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(&format!(
        "create type acid.tag as enum ('good', 'lost');
         create table acid.tagged (\"timestamp\" timestamptz not null, full_statement jsonb not null,
                                   actor_id bigint, tag acid.tag);
         insert into acid.tagged
         select '2025-04-01'::timestamptz + case when n between 90 and 120 then 100 else n end * interval '3 minutes',
                acid.statement(n, false), case when n between 99 and 103 then 5 else n end,
                (case when {BAD} then 'lost' else 'good' end)::acid.tag
           from generate_series(1, {ROWS}) n order by md5(n::text);
         create index on acid.tagged (\"timestamp\", actor_id);
         analyze acid.tagged;
         grant select on acid.tagged to reader;
         delete from pg_enum where enumlabel = 'lost'"
    ));
    fixture.on_stage(
        r#"alter table pipeline.aidt_raw add tag text;
           update lrs_extract.pipeline set source_table = 'acid.tagged',
               mapping = mapping || '{"tag": {"source": "tag"}}'"#,
    );
    fixture
}

/// The serial numbers that the target lacks.
fn lacking(fixture: &Fixture) -> String {
    fixture.stage_value(&format!(
        "select string_agg(n::text, ' ' order by n)
           from generate_series(1, {ROWS}) n
          where not exists (select from pipeline.aidt_raw where \"statement\" ->> 'serial' = n::text)"
    ))
}

#[test]
fn a_row_that_cannot_be_sent_is_set_aside_with_its_key_and_the_others_arrive() {
    for (walk, commit) in
        [("key", "batch"), ("heap", "batch"), ("auto", "slice"), ("key", "caller")]
    {
        let fixture = fixture_with_lost_labels();
        fixture.on_stage(&format!("update lrs_extract.pipeline set walk = '{walk}'"));
        let pulled = Pull::everything().batch(1_000).commit(commit).run(&mut fixture.stage());
        assert_eq!((pulled.rows, pulled.rejected), (ROWS - 4, 4), "{walk}, {commit}");
        assert_eq!(lacking(&fixture), "100 101 777 2500", "{walk}");
        let distinct = "select count(distinct \"statement\" ->> 'serial') from pipeline.aidt_raw";
        assert_eq!(fixture.stage_value(distinct), (ROWS - 4).to_string(), "{walk}");
        assert_eq!(reasons(&fixture), "- 22P03", "{walk}");
        let keys = "select string_agg(actor_id || ' ' || to_char(\"timestamp\", 'DD HH24:MI'), ', ' order by actor_id)
                      from lrs_extract.reject where statement is null and extra is null and altered";
        let of_source = format!(
            "select string_agg(actor_id || ' ' || to_char(\"timestamp\", 'DD HH24:MI'), ', ' order by actor_id)
               from acid.tagged, lateral (select (full_statement ->> 'serial')::int as n) s where {BAD}"
        );
        assert_eq!(fixture.stage_value(keys), fixture.source_value(&of_source), "{walk}");
        let read = "select bool_and(rows_read = rows + rejected) from lrs_extract.slice";
        assert_eq!(fixture.stage_value(read), "true");
        let said = "select string_agg(distinct message, '; ') from lrs_extract.reject";
        let before = fixture.stage_value(said);
        assert!(before.contains("the source could not send the row"), "{before}");
        assert_eq!(replayed(&fixture), 0);
        assert_eq!((rejects(&fixture), fixture.stage_value(said)), (4, before));
    }
}

#[test]
fn a_row_that_cannot_be_sent_ends_the_run_with_its_key_where_bad_values_do() {
    let fixture = fixture_with_lost_labels();
    fixture.on_stage("update lrs_extract.pipeline set on_bad_value = 'abort', walk = 'key'");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), "22P03", "{words}");
    assert!(words.contains("timestamp 2025-04-01 05:00:00 UTC, actor 5"), "{words}");
    assert!(words.contains("'reject'"), "{words}");
}

#[test]
fn a_row_of_a_view_that_cannot_be_computed_is_set_aside_where_its_key_is_its_own() {
    for (bad, rejected) in [("777", Some(1)), ("100", None)] {
        let fixture = fixture_with_lost_labels();
        fixture.on_source(&format!(
            "create view acid.computed as
                 select \"timestamp\", full_statement, actor_id,
                        1 / ((full_statement ->> 'serial')::int - {bad}) as tag from acid.tagged;
             grant select on acid.computed to reader"
        ));
        fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.computed'");
        let outcome = Pull::everything().try_run(&mut fixture.stage());
        match rejected {
            Some(rejected) => {
                assert_eq!(outcome.expect("rows").rejected, rejected);
                assert_eq!(lacking(&fixture), bad);
                assert_eq!(reasons(&fixture), "- 22012");
            }
            None => {
                let refused = refusal(outcome);
                let words = whole_text(&refused);
                assert_eq!(refused.code().code(), "22012", "{words}");
                assert!(
                    words.contains("one of 5 rows with timestamp 2025-04-01 05:00:00 UTC, actor 5"),
                    "{words}"
                );
            }
        }
    }
}

/// A source of this encoding whose table has good rows and one with these bytes.
fn fixture_of_bytes(encoding: &str, bytes: &str) -> Fixture {
    let fixture = Fixture::bare(Pair::shared());
    let db = format!("{}_{}", fixture.db, encoding.to_lowercase());
    fixture.on_source(&format!(
        "create database {db} encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"
    ));
    let mut source = fixture.pair.source.connect(&db);
    source
        .batch_execute(&format!(
            "create schema acid;
             create table acid.lrs_statement_new (
                 \"timestamp\" timestamptz not null, full_statement text not null, actor_id bigint);
             create index on acid.lrs_statement_new (\"timestamp\", actor_id);
             grant usage on schema acid to reader;
             grant select on acid.lrs_statement_new to reader;
             insert into acid.lrs_statement_new
             select '2025-04-01'::timestamptz + n * interval '1 hour', '{{\"n\": ' || n || '}}', n
               from generate_series(1, 400) n;
             update acid.lrs_statement_new set full_statement = convert_from('\\x{bytes}'::bytea, '{encoding}')
              where actor_id = 200"
        ))
        .expect("the table");
    fixture.connect_stage_to_source("");
    fixture.on_stage(&format!("alter server lrs_source options (set dbname '{db}')"));
    fixture
}

#[test]
fn bytes_that_have_no_meaning_in_utf8_cost_their_row_alone() {
    for (encoding, bytes, sqlstate) in [
        ("SQL_ASCII", "7b2261223a2022ff227d", "22021"),
        ("EUC_KR", "7b2261223a2022c9a1227d", "22P05"),
    ] {
        let fixture = fixture_of_bytes(encoding, bytes);
        let pulled = fixture.pull_all();
        assert_eq!((pulled.rows, pulled.rejected), (399, 1), "{encoding}");
        assert_eq!(reasons(&fixture), format!("- {sqlstate}"));
        assert_eq!(fixture.stage_value("select actor_id from lrs_extract.reject"), "200");
    }
}

const VERIFY: &str =
    "select * from lrs_extract.verify('2025-03-01', '2025-08-01', level => 'hash')";

#[test]
fn verify_names_the_row_that_cannot_be_hashed_and_goes_on_with_the_other_slices() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "create table acid.plain (\"timestamp\" timestamptz not null, full_statement text not null, actor_id bigint);
         create index on acid.plain (\"timestamp\", actor_id);
         grant select on acid.plain to reader;
         insert into acid.plain select '2025-04-01'::timestamptz + n * interval '1 day',
                case when n = 33 then '{\"half\": ' else '{}' end, n from generate_series(1, 60) n",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.plain'");
    fixture.pull_all();
    let (mut session, notices) = fixture.stage_with_notices();
    let slices = session.query(VERIFY, &[]).expect("a comparison");
    let not_ok: Vec<_> = slices.iter().filter(|slice| !slice.get::<_, bool>("ok")).collect();
    assert!(slices.len() > 4 && not_ok.len() == 1, "{} of {}", not_ok.len(), slices.len());
    let counts = |slice: &postgres::Row| -> (i64, i64, i64) {
        (slice.get("source_rows"), slice.get("target_rows"), slice.get("rejected_rows"))
    };
    let (source, target, rejected) = counts(not_ok[0]);
    assert_eq!((source, rejected), (target + 1, 1));
    let said = notices.all().join("\n");
    assert!(said.contains("timestamp 2025-05-04 00:00:00 UTC, actor 33"), "{said}");
    assert!(said.contains("22P02") && said.contains("'count'"), "{said}");
    // Without the reject, the stage alone can be hashed.
    fixture.on_stage("delete from lrs_extract.reject");
    let slices = fixture.stage().query(VERIFY, &[]).expect("a comparison");
    let not_ok: Vec<_> = slices.iter().filter(|slice| !slice.get::<_, bool>("ok")).collect();
    assert_eq!(not_ok.len(), 1);
    assert_eq!(counts(not_ok[0]), (source, target, 0));
}

#[test]
fn verify_names_the_row_of_the_target_that_cannot_be_hashed() {
    let fixture = Fixture::with(&Rows::of(500));
    fixture.on_stage("alter table pipeline.aidt_raw alter \"statement\" type text");
    fixture.pull_all();
    fixture.on_stage(
        "update pipeline.aidt_raw set \"statement\" = '{' where \"timestamp\" =
             (select min(\"timestamp\") from pipeline.aidt_raw where \"timestamp\" > '2025-05-05')",
    );
    let (mut session, notices) = fixture.stage_with_notices();
    let slices = session.query(VERIFY, &[]).expect("a comparison");
    let not_ok = slices.iter().filter(|slice| !slice.get::<_, bool>("ok")).count();
    assert_eq!(not_ok, 1, "of {}", slices.len());
    let said = notices.all().join("\n");
    assert!(
        said.contains("a row of pipeline.aidt_raw") && said.contains("timestamp 2025-05-05"),
        "{said}"
    );
}
