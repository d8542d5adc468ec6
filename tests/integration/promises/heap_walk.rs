//! Promise 1 where the heap is read in its own order, beside writers: the fixtures' rows lie in another
//! order than that of their keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::fixture::{
    Fixture, Pair, Pull, Rows, ServerPlan, Version, await_that, refusal, whole_text,
};
use crate::promises::crash_recovery::Victim;

/// All rows lie in one partition.
fn fixture_with(pair: Pair, rows: Rows) -> Fixture {
    let fixture = Fixture::on(pair, &rows.between("2025-04-01", "2025-05-01"));
    fixture.on_stage("update lrs_extract.pipeline set walk = 'heap'");
    fixture
}

fn pull() -> Pull {
    Pull::period("2025-04-01", "2025-05-01").batch(100).jobs(1)
}

fn give_workers(fixture: &Fixture, memory: &str) {
    let db = &fixture.db;
    fixture.on_stage(&format!("alter database {db} set lrs_extract.worker_memory = '{memory}'"));
}

/// How far the scan of April's heap has come.
fn block_watermark(fixture: &Fixture) -> i64 {
    let watermark = fixture.stage_value("select max(block_watermark) from lrs_extract.slice");
    watermark.parse().unwrap_or(0)
}

/// Starts a pull of a slowed target, and waits until so many blocks are committed.
fn start_and_await_blocks(fixture: &Fixture, blocks: i64) -> crate::fixture::Running {
    fixture.slow_target(30);
    let running = fixture.start_and_await_a_batch(&pull());
    await_that("blocks are read", Duration::from_secs(60), || block_watermark(fixture) >= blocks);
    running
}

/// How often target and rejects have each serial number of the source.
fn times_taken(fixture: &Fixture) -> HashMap<i64, i64> {
    let sql = "select serial, count(*) from (
                 select (statement ->> 'serial')::bigint as serial from pipeline.aidt_raw
                 union all
                 select (statement::jsonb ->> 'serial')::bigint from lrs_extract.reject) taken
               group by serial";
    let rows = fixture.stage().query(sql, &[]).expect("the serial numbers");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Each row that the source has is in the target or in `reject`, once, whichever version of it; and no
/// other is there twice.
fn assert_each_row_once(fixture: &Fixture) {
    let taken = times_taken(fixture);
    let twice: Vec<_> = taken.iter().filter(|(_, times)| **times > 1).take(10).collect();
    assert!(twice.is_empty(), "doubled: {twice:?}");
    let sql = "select (full_statement ->> 'serial')::bigint from acid.lrs_statement_new";
    let rows = fixture.source().query(sql, &[]).expect("the serial numbers");
    let lost: Vec<i64> =
        rows.iter().map(|row| row.get(0)).filter(|serial| !taken.contains_key(serial)).collect();
    assert!(lost.is_empty(), "{} lost, such as {:?}", lost.len(), &lost[..lost.len().min(10)]);
}

const APRIL: &str = "acid.lrs_statement_2025_04";

/// Makes room in the first blocks of April's heap.
fn empty_blocks_before(fixture: &Fixture, block: i64) {
    fixture.on_source(&format!("delete from {APRIL} where ctid < '({block},0)'"));
    fixture.on_source(&format!("vacuum (freeze, truncate off) {APRIL}"));
}

/// Makes the rows of the last 40 blocks longer, so that they find no room where they are: far ahead of
/// the reader.
fn move_last_rows(fixture: &Fixture) {
    fixture.on_source(&format!(
        "update {APRIL} set full_statement = full_statement || jsonb_build_object('pad', repeat(md5(ctid::text), 8))
          where ctid >= format('(%s,0)', pg_relation_size('{APRIL}') / 8192 - 40)::tid"
    ));
}

fn rows_before(fixture: &Fixture, block: i64) -> i64 {
    let sql = format!("select count(*) from {APRIL} where ctid < '({block},0)'");
    fixture.source_value(&sql).parse().expect("a count")
}

#[test]
fn a_heap_in_disorder_is_read_by_blocks_and_each_block_once() {
    // So little memory that a block that is read again is fetched again.
    let source = ServerPlan::of(Version::source())
        .setting("shared_buffers = 1MB")
        .setting("autovacuum = off");
    let fixture =
        fixture_with(Pair::of(source, ServerPlan::of(Version::stage())), Rows::of(30_000));
    fixture.on_stage("update lrs_extract.pipeline set walk = 'auto'");
    fixture.on_source(&format!("vacuum {APRIL}"));
    let path = fixture.stage_value(
        "select string_agg(distinct access_path, ' | ') from lrs_extract.plan('2025-04-01', '2025-05-01')",
    );
    assert!(path.contains("by heap"), "{path}");
    let number = |sql: &str| fixture.source_value(sql).parse::<i64>().expect("a number");
    let blocks = number(&format!("select pg_relation_size('{APRIL}') / 8192"));
    let read = || {
        number(&format!(
            "select heap_blks_read from pg_statio_user_tables where relid = '{APRIL}'::regclass"
        ))
    };
    // The counts of what came before arrive.
    thread::sleep(Duration::from_secs(2));
    let before = read();
    assert_eq!(pull().batch(1_000).run(&mut fixture.stage()).rows, 30_000);
    fixture.assert_nothing_left_running();
    await_that("the statistics arrive", Duration::from_secs(20), || read() >= before + blocks);
    thread::sleep(Duration::from_secs(2));
    let read = read() - before;
    assert!(read <= blocks + blocks / 20, "{read} blocks read of {blocks}");
    fixture.assert_all_rows();
}

#[test]
fn rows_that_updates_move_into_blocks_that_were_read_are_not_lost() {
    assert_moved_rows_are_not_lost(|_| ());
}

#[test]
fn rows_that_updates_move_are_not_lost_where_the_targets_planner_runs_the_select_apart() {
    assert_moved_rows_are_not_lost(|fixture| fixture.stand_in("runs_select_apart"));
}

fn assert_moved_rows_are_not_lost(prepare: impl Fn(&Fixture)) {
    let fixture = fixture_with(Pair::shared(), Rows::of(9_000).ties(3).odd_ids_every(7));
    prepare(&fixture);
    empty_blocks_before(&fixture, 40);
    let running = start_and_await_blocks(&fixture, 60);
    assert_eq!(rows_before(&fixture, 40), 0);
    move_last_rows(&fixture);
    assert!(rows_before(&fixture, 40) > 100, "rows have moved into blocks that were read");
    running.pulled();
    assert_each_row_once(&fixture);
    fixture.quick_target();
    assert_eq!(pull().run(&mut fixture.stage()).rows, 0, "all is covered");
}

#[test]
fn a_timestamp_with_more_rows_than_a_page_is_looked_through_in_parts() {
    let rows = Rows::of(9_000).ties(9_000).actors_per_tie(9_000).odd_ids_every(7);
    let fixture = fixture_with(Pair::shared(), rows);
    // A page is little more than a megabyte then, and the rows are five.
    give_workers(&fixture, "16MB");
    empty_blocks_before(&fixture, 40);
    let running = start_and_await_blocks(&fixture, 60);
    move_last_rows(&fixture);
    assert!(rows_before(&fixture, 40) > 100, "rows have moved into blocks that were read");
    running.pulled();
    assert_each_row_once(&fixture);
}

#[test]
fn a_statement_larger_than_a_page_is_looked_at_again() {
    let fixture = fixture_with(Pair::shared(), Rows::of(1_000).ties(500));
    // What was written since this began counts as new.
    let mut old = fixture.source();
    old.batch_execute("begin; select txid_current()").expect("a transaction");
    fixture.on_source(
        "update acid.lrs_statement_2025_04 set full_statement = full_statement
             || jsonb_build_object('noise', (select string_agg(md5(m::text), '') from generate_series(1, 10 * 32768) m))
          where ctid = any (array(select ctid from acid.lrs_statement_2025_04 limit 2))",
    );
    assert_eq!(pull().run(&mut fixture.stage()).rows, 1_000);
    old.batch_execute("rollback").expect("its end");
    fixture.assert_all_rows();
}

#[test]
fn rows_that_updates_move_into_blocks_to_come_are_not_doubled() {
    let fixture = fixture_with(Pair::shared(), Rows::of(6_000).nulls_every(3).odd_ids_every(7));
    let running = start_and_await_blocks(&fixture, 60);
    // All blocks are full: the rows of those that were read are appended.
    fixture.on_source(&format!(
        "update {APRIL} set full_statement = full_statement || jsonb_build_object('pad', repeat(md5(ctid::text), 8))
          where ctid < '(50,0)'"
    ));
    running.pulled();
    assert_each_row_once(&fixture);
}

#[test]
fn rows_that_are_updated_where_they_are_come_once() {
    let fixture = fixture_with(Pair::shared(), Rows::of(6_000).ties(40).actors_per_tie(5));
    fixture.on_source(&format!("alter table {APRIL} set (fillfactor = 50)"));
    fixture.on_source(&format!("vacuum full {APRIL}"));
    let running = start_and_await_blocks(&fixture, 60);
    for _ in 0..2 {
        fixture
            .on_source(&format!("update {APRIL} set actor_id = actor_id where ctid >= '(40,0)'"));
    }
    running.pulled();
    assert_each_row_once(&fixture);
    fixture.assert_all_rows();
}

#[test]
fn a_heap_with_dead_rows_aborted_rows_and_empty_blocks_is_read_whole() {
    let fixture = fixture_with(Pair::shared(), Rows::of(6_000).ties(3).nulls_every(2));
    empty_blocks_before(&fixture, 30);
    fixture.on_source(&format!(
        "delete from {APRIL} where ctid >= '(100,0)' and ctid < '(140,0)';
         update {APRIL} set actor_id = 7 where ctid >= '(150,0)' and ctid < '(160,0)'"
    ));
    let aborted = fixture.source().batch_execute(&format!(
        "begin; insert into {APRIL} select * from {APRIL}; select 1 / 0; commit"
    ));
    assert!(aborted.is_err());
    pull().jobs(2).run(&mut fixture.stage());
    fixture.assert_all_rows();
}

#[test]
fn what_is_appended_during_the_scan_is_read_too() {
    let fixture = fixture_with(Pair::shared(), Rows::of(3_000));
    let running = start_and_await_blocks(&fixture, 20);
    Rows::of(2_000).between("2025-04-10", "2025-04-20").fill(&mut fixture.source());
    running.pulled();
    fixture.assert_all_rows();
}

#[test]
fn a_heap_that_is_rewritten_is_not_gone_on_with() {
    let fixture = fixture_with(Pair::shared(), Rows::of(6_000));
    let running = start_and_await_blocks(&fixture, 60);
    fixture.on_source(&format!("vacuum full {APRIL}"));
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    fixture.quick_target();
    let refused = refusal(pull().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    assert!(refused.hint().is_some_and(|hint| hint.contains("lrs_extract.forget(")));
    // As the hint says.
    fixture.on_stage(
        "delete from pipeline.aidt_raw;
         select lrs_extract.forget('2025-04-01', '2025-05-01', 'aidt')",
    );
    pull().run(&mut fixture.stage());
    fixture.assert_all_rows();
}

/// A fixture whose scan of April was cancelled half way.
fn fixture_half_read() -> Fixture {
    let fixture = fixture_with(Pair::shared(), Rows::of(6_000).ties(3).nulls_every(4));
    let running = start_and_await_blocks(&fixture, 60);
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
    fixture.quick_target();
    fixture
}

#[test]
fn a_scan_is_finished_by_any_call_that_reaches_into_its_period() {
    let fixture = fixture_half_read();
    let state =
        "select string_agg(distinct state, ',') from lrs_extract.plan('2025-04-10', '2025-04-12')";
    assert_eq!(fixture.stage_value(state), "partial");
    // Also by a pipeline that has turned to the key since.
    fixture.on_stage("update lrs_extract.pipeline set walk = 'key'");
    let before = fixture.target_rows();
    let rest = Pull::period("2025-04-10", "2025-04-12").batch(5_000).run(&mut fixture.stage());
    assert_eq!(rest.rows, 6_000 - before);
    fixture.assert_all_rows();
    assert_eq!(fixture.pull_all().rows, 0);
}

#[test]
fn half_a_scan_is_neither_forgotten_nor_pulled_again() {
    let fixture = fixture_half_read();
    let part = "select lrs_extract.forget('2025-04-01', '2025-04-15', 'aidt')";
    let refused = refusal(fixture.stage().batch_execute(part));
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    let refused = refusal(pull().again().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    let forgotten =
        fixture.stage_value("select lrs_extract.forget('2025-04-01', '2025-05-01', 'aidt') > 0");
    assert_eq!(forgotten, "true");
    fixture.on_stage("truncate pipeline.aidt_raw");
    assert_eq!(pull().run(&mut fixture.stage()).rows, 6_000);
    fixture.assert_all_rows();
}

#[test]
fn what_cannot_be_walked_by_heap_is_refused_where_that_was_asked_for() {
    let fixture = fixture_with(Pair::shared(), Rows::of(100));
    fixture.on_stage("update lrs_extract.pipeline set mapping = mapping - 'id'");
    let refused = refusal(pull().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "0A000", "{}", whole_text(&refused));
    fixture.on_stage("update lrs_extract.pipeline set walk = 'auto'");
    assert_eq!(pull().run(&mut fixture.stage()).rows, 100);
}

/// Writers that move rows about until told to stop.
struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Writers {
    fn start(fixture: &Fixture) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let statements = [
            // Longer and shorter by turns: versions find their place here and there.
            "update acid.lrs_statement_2025_04 set full_statement = full_statement - 'pad' || jsonb_build_object('pad', repeat('x', (random() * 1500)::int))
              where ctid = any (array(select ctid from acid.lrs_statement_2025_04 tablesample bernoulli (1) limit 40))",
            "vacuum acid.lrs_statement_2025_04",
            "delete from acid.lrs_statement_2025_04 where ctid = any (array(select ctid from acid.lrs_statement_2025_04 tablesample bernoulli (0.1) limit 2))",
        ];
        let threads = statements
            .into_iter()
            .map(|statement| {
                let (mut source, stop) = (fixture.source(), stop.clone());
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let _ = source.batch_execute(statement);
                        thread::sleep(Duration::from_millis(5));
                    }
                })
            })
            .collect();
        Writers { stop, threads }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer");
        }
    }
}

/// Kills in a row: `LRS_EXTRACT_KILLS`, for a long test by hand, or 6.
fn kills() -> usize {
    const USUAL: usize = 6;
    let asked = std::env::var("LRS_EXTRACT_KILLS").ok();
    asked.map_or(USUAL, |kills| kills.parse().expect("LRS_EXTRACT_KILLS is a whole number"))
}

#[test]
fn kills_beside_writers_lose_nothing_and_double_nothing() {
    let kills = kills();
    let rows = 1_800 * i64::try_from(kills).expect("kills");
    let fixture = fixture_with(
        Pair::own(),
        Rows::of(rows).ties(3).actors_per_tie(2).nulls_every(4).odd_ids_every(50),
    );
    fixture.slow_target(60);
    let writers = Writers::start(&fixture);
    for victim in Victim::ALL.into_iter().cycle().take(kills) {
        let running = fixture.start_and_await_a_batch(&pull().jobs(2));
        victim.kill(&fixture, running.leader);
        assert!(running.result().is_err(), "{victim:?}");
        fixture.assert_nothing_left_running();
    }
    fixture.quick_target();
    pull().batch(5_000).run(&mut fixture.stage());
    writers.stop();
    assert_each_row_once(&fixture);
}
