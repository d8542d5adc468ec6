//! Promise 1: the target holds each source row of the period exactly once, whatever the batch
//! size, however many rows share a key, null actors included.

use crate::fixture::{Fixture, Pull, Rows};

/// By heap, by windows of keys, and by pages of keys.
fn assert_everything_arrives_once(rows: &Rows, batches: &[i64]) {
    let in_disorder = Fixture::with(rows);
    assert_arrives_once(&in_disorder, rows, "heap", batches);
    assert_arrives_once(&in_disorder, rows, "key", batches);
    assert_arrives_once(&Fixture::with(&rows.clone().in_key_order()), rows, "auto", batches);
}

fn assert_arrives_once(fixture: &Fixture, rows: &Rows, walk: &str, batches: &[i64]) {
    for batch in batches {
        fixture.on_stage(&format!(
            "truncate pipeline.aidt_raw;
             select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt');
             update lrs_extract.pipeline set walk = '{walk}'"
        ));
        let pulled = Pull::everything().batch(*batch).run(&mut fixture.stage());
        assert_eq!(pulled.rows + pulled.rejected, rows.count, "{walk}, batch of {batch}");
        fixture.assert_all_rows();
    }
}

#[test]
fn sixty_thousand_rows_arrive_in_batches_of_five_thousand() {
    assert_everything_arrives_once(&Rows::of(60_000).nulls_every(11), &[5_000]);
}

#[test]
fn a_second_call_pulls_nothing() {
    let fixture = Fixture::with(&Rows::of(5_000).nulls_every(3));
    fixture.pull_all();
    let second = fixture.pull_all();
    assert_eq!((second.rows, second.rejected), (0, 0));
    fixture.assert_all_rows();
}

#[test]
fn ties_of_whole_keys_survive_every_batch_size() {
    let rows = Rows::of(8_000).ties(2_000).nulls_every(2);
    assert_everything_arrives_once(&rows, &[1, 7, 999, 1_500]);
}

#[test]
fn timestamps_shared_by_thousands_of_actors_survive_every_batch_size() {
    let rows = Rows::of(8_000).ties(4_000).actors_per_tie(4_000).nulls_every(5);
    assert_everything_arrives_once(&rows, &[97, 999, 1_500]);
}

#[test]
fn batches_of_one_row() {
    assert_everything_arrives_once(&Rows::of(150).ties(3).actors_per_tie(2).nulls_every(4), &[1]);
}

#[test]
fn an_actor_missing_from_every_second_row() {
    assert_everything_arrives_once(&Rows::of(10_000).nulls_every(2), &[7_001, 999]);
}

#[test]
fn an_actor_missing_from_every_row() {
    assert_everything_arrives_once(&Rows::of(3_000).ties(700).nulls_every(1), &[100, 1_000]);
}

#[test]
fn an_empty_period_is_covered_without_a_row() {
    let fixture = Fixture::with(&Rows::of(0));
    assert_eq!(fixture.pull_all().rows, 0);
    fixture.assert_nothing_left_running();
}

#[test]
fn a_period_that_cuts_through_days_takes_what_lies_in_it() {
    let fixture = Fixture::with(&Rows::of(8_000).ties(5).actors_per_tie(3).nulls_every(3));
    let (from, to) = ("2025-03-10 07:13:11.123456+00", "2025-05-05 19:45:00+02");
    let pulled = Pull::period(from, to).batch(333).run(&mut fixture.stage());
    assert_eq!(pulled.rows, fixture.target_rows());
    assert_eq!(fixture.target_rows().to_string(), rows_between(&fixture, from, to));
    fixture.assert_same_rows(from, to);
}

fn rows_between(fixture: &Fixture, from: &str, to: &str) -> String {
    fixture.source_value(&format!(
        "select count(*) from acid.lrs_statement_new
         where \"timestamp\" >= '{from}' and \"timestamp\" < '{to}'"
    ))
}

#[test]
fn the_period_includes_its_first_microsecond_and_excludes_its_last() {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "insert into acid.lrs_statement_new
         select moment, acid.statement(row_number() over (), false), 1
         from unnest('{2025-04-01 09:59:59.999999+00, 2025-04-01 10:00:00+00,
                       2025-04-01 10:59:59.999999+00, 2025-04-01 11:00:00+00}'::timestamptz[]) moment",
    );
    Pull::period("2025-04-01 10:00+00", "2025-04-01 11:00+00").run(&mut fixture.stage());
    assert_eq!(
        fixture.stage_value(
            "select string_agg(to_char(\"timestamp\" at time zone 'UTC', 'HH24:MI:SS.US'), ' '
                               order by \"timestamp\") from pipeline.aidt_raw"
        ),
        "10:00:00.000000 10:59:59.999999"
    );
}

#[test]
fn adjoining_periods_share_no_row_and_lose_none() {
    let fixture = Fixture::with(&Rows::of(3_000).ties(100).nulls_every(2));
    let middle = fixture.source_value(
        "select min(\"timestamp\") + interval '76.5 days' from acid.lrs_statement_new",
    );
    Pull::period("2025-03-01", &middle).batch(70).run(&mut fixture.stage());
    Pull::period(&middle, "2025-08-01").batch(70).run(&mut fixture.stage());
    fixture.assert_all_rows();
}

#[test]
fn the_number_of_jobs_does_not_matter() {
    for jobs in [1, 4] {
        let fixture = Fixture::with(&Rows::of(6_000).ties(9).nulls_every(4));
        Pull::everything().batch(500).jobs(jobs).run(&mut fixture.stage());
        fixture.assert_all_rows();
    }
}

#[test]
fn the_callers_time_zone_and_date_style_do_not_matter() {
    let fixture = Fixture::with(&Rows::of(4_000).ties(3).nulls_every(4));
    let mut stage = fixture.stage();
    stage
        .batch_execute(
            "set timezone = 'America/St_Johns'; set datestyle = 'German';
             set intervalstyle = 'sql_standard'; set search_path = ''; set bytea_output = 'escape'",
        )
        .expect("settings");
    Pull::period("2025-03-01 00:00+00", "2025-08-01 00:00+00").batch(450).run(&mut stage);
    fixture.assert_all_rows();
}

#[test]
fn pull_returns_what_the_batch_table_keeps() {
    let fixture = Fixture::with(&Rows::of(4_000).nulls_every(3).odd_ids_every(50));
    let columns = "run_id, batch_no, partition, rows, rejected, bytes, last_timestamp, \
                   last_actor_id, source_wait_ms, transform_ms, insert_ms, commit_ms, \
                   round(elapsed_ms::numeric, 3) as elapsed_ms";
    let mut stage = fixture.stage();
    stage
        .batch_execute(&format!(
            "create table returned as select {columns} from {}",
            Pull::everything().batch(300).call()
        ))
        .expect("the rows are kept");
    let only_in = |one: &str, other: &str| {
        fixture.stage_value(&format!(
            "select string_agg(r::text, ' ') from
                 (select {columns} from {one} except select {columns} from {other}) r"
        ))
    };
    assert_eq!(only_in("returned", "lrs_extract.batch"), "", "returned and not kept");
    assert_eq!(only_in("lrs_extract.batch", "returned"), "", "kept and not returned");
    assert_eq!(fixture.stage_value("select sum(rows) + sum(rejected) from returned"), "4000");
}

#[test]
fn the_last_key_of_a_batch_is_a_key_of_the_source() {
    let fixture = Fixture::with(&Rows::of(3_000).ties(10).actors_per_tie(4).nulls_every(3));
    Pull::everything().batch(200).run(&mut fixture.stage());
    let keys = fixture.stage_value(
        "select string_agg(format('(%L::timestamptz, %L::bigint)', last_timestamp, last_actor_id), ',')
         from lrs_extract.batch where rows + rejected > 0",
    );
    let strangers = fixture.source_value(&format!(
        "select count(*) from (values {keys}) k (t, a) where not exists (
             select from acid.lrs_statement_new s
             where s.\"timestamp\" = t and s.actor_id is not distinct from a)"
    ));
    assert_eq!(strangers, "0");
}
