//! A page costs what its rows cost, on unique timestamps and where thousands of rows share one: so
//! say the source's own counters.

use std::ops::Sub;
use std::time::Duration;

use crate::fixture::{Fixture, Pull, Rows, await_that};

const ROWS: i64 = 30_000;
/// What the survey, the planner and the end of a walk may read besides.
const BESIDES: i64 = 60;

/// All rows lie in it.
const APRIL: (&str, &str) = ("2025-04-01", "2025-05-01");
/// Rows lie on both sides of it. Where a bound is beyond the rows that the planner knows of, it looks
/// the index's end up, which counts as a scan for each plan.
const INSIDE: (&str, &str) = ("2025-04-03 06:00+00", "2025-04-04 18:00+00");

/// What was read from the source's partitions.
#[derive(Clone, Copy, Debug)]
struct Reads {
    index_scans: i64,
    index_entries: i64,
    heap_rows: i64,
    rows_without_index: i64,
}

impl Sub for Reads {
    type Output = Reads;

    fn sub(self, earlier: Reads) -> Reads {
        Reads {
            index_scans: self.index_scans - earlier.index_scans,
            index_entries: self.index_entries - earlier.index_entries,
            heap_rows: self.heap_rows - earlier.heap_rows,
            rows_without_index: self.rows_without_index - earlier.rows_without_index,
        }
    }
}

/// A fixture whose rows lie in a few days of April, so that one partition and one slice hold them.
fn fixture_with(rows: Rows) -> Fixture {
    let fixture = Fixture::with(&rows.between("2025-04-03", "2025-04-05").in_key_order());
    fixture.on_source("create table acid.marker ()");
    fixture.on_stage("update lrs_extract.pipeline set slice_width = '40 days'");
    fixture
}

/// All that sessions have read. Their counts reach the statistics in the order in which the sessions
/// go, at last when they end: that is awaited, and then those of one more session.
fn reads_so_far(fixture: &Fixture) -> Reads {
    fixture.assert_nothing_left_running();
    let others = "select count(*) from pg_stat_activity where datname = current_database()
                     and backend_type = 'client backend' and pid <> pg_backend_pid()";
    await_that("other sessions end", Duration::from_secs(20), || {
        fixture.source_value(others) == "0"
    });
    let marks = || {
        fixture
            .source_value(
                "select seq_scan from pg_stat_user_tables where relid = 'acid.marker'::regclass",
            )
            .parse::<i64>()
            .unwrap_or(0)
    };
    let before = marks();
    fixture.on_source("select from acid.marker");
    await_that("the statistics arrive", Duration::from_secs(20), || marks() > before);
    let row = fixture.source().query_one(include_str!("../fixture/sql/source_reads.sql"), &[]);
    let row = row.expect("the counters");
    Reads {
        index_scans: row.get("index_scans"),
        index_entries: row.get("index_entries"),
        heap_rows: row.get("heap_rows"),
        rows_without_index: row.get("rows_without_index"),
    }
}

/// Pulls the period into the emptied target; the rows there are, and what was read of the source.
fn reads_of_a_pull(fixture: &Fixture, (from, to): (&str, &str), batch: i64) -> (i64, Reads) {
    fixture.on_stage(
        "truncate pipeline.aidt_raw, lrs_extract.batch;
         select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')",
    );
    let before = reads_so_far(fixture);
    let pulled = Pull::period(from, to).batch(batch).run(&mut fixture.stage());
    let reads = reads_so_far(fixture) - before;
    fixture.assert_same_rows(from, to);
    (pulled.rows, reads)
}

/// Index entries and rows read are those that there are, and one in a hundred more at most.
fn assert_each_row_is_read_once(rows: i64, reads: &Reads) {
    let once = rows..=rows + rows / 100 + BESIDES;
    assert!(once.contains(&reads.index_entries), "{rows} rows: {reads:?}");
    assert!(once.contains(&reads.heap_rows), "{rows} rows: {reads:?}");
    assert_eq!(reads.rows_without_index, 0, "{rows} rows: {reads:?}");
}

fn assert_pages_read_each_row_once(rows: Rows) {
    let fixture = fixture_with(rows);
    for batch in [500, 2_000] {
        let (rows, reads) = reads_of_a_pull(&fixture, APRIL, batch);
        assert_eq!(rows, ROWS);
        assert_each_row_is_read_once(rows, &reads);
    }
}

#[test]
fn two_timestamps_of_fifteen_thousand_rows_are_read_once() {
    assert_pages_read_each_row_once(
        Rows::of(ROWS).ties(ROWS / 2).actors_per_tie(50).nulls_every(51),
    );
}

#[test]
fn a_timestamp_that_each_row_has_with_an_actor_of_its_own_is_read_once() {
    assert_pages_read_each_row_once(Rows::of(ROWS).ties(ROWS).actors_per_tie(ROWS).nulls_every(51));
}

#[test]
fn groups_at_the_border_of_small_and_large_are_read_once() {
    for ties in [3, 10, 11] {
        assert_pages_read_each_row_once(
            Rows::of(ROWS).ties(ties).actors_per_tie(ties).nulls_every(51),
        );
    }
}

#[test]
fn unique_timestamps_are_read_once_and_by_one_query_a_page() {
    let fixture = fixture_with(Rows::of(ROWS).nulls_every(51));
    for batch in [500, 2_000] {
        let (rows, reads) = reads_of_a_pull(&fixture, INSIDE, batch);
        assert_each_row_is_read_once(rows, &reads);
        let pages = fixture.committed_batches();
        assert!(pages >= rows / batch && rows > ROWS / 2, "{pages} pages of {rows} rows");
        assert!(reads.index_scans <= pages + pages / 10 + 10, "{pages} pages: {reads:?}");
    }
}

/// A fixture whose index does not know the actors.
fn fixture_with_an_index_on_the_timestamp_alone(rows: Rows) -> Fixture {
    let fixture = fixture_with(rows);
    fixture.on_source(
        "do $$ declare i regclass; begin
           for i in select x.indexrelid from pg_index x join pg_class c on c.oid = x.indexrelid
                     where x.indrelid = 'acid.lrs_statement_new'::regclass
           loop execute format('drop index %s', i); end loop; end $$;
         create index on acid.lrs_statement_new (\"timestamp\");
         analyze acid.lrs_statement_new",
    );
    fixture
}

#[test]
fn an_index_on_the_timestamp_alone_reads_no_row_for_each_page() {
    // Groups of a fifth of a page, and groups of many pages.
    for (ties, batch) in [(100, 500), (2_000, 500), (ROWS / 2, 2_000)] {
        let rows = Rows::of(ROWS).ties(ties).actors_per_tie(50).nulls_every(51);
        let fixture = fixture_with_an_index_on_the_timestamp_alone(rows);
        let (rows, reads) = reads_of_a_pull(&fixture, APRIL, batch);
        assert_eq!(rows, ROWS);
        let read = reads.heap_rows + reads.rows_without_index;
        let walk =
            fixture.stage_value("select string_agg(distinct walk, ', ') from lrs_extract.slice");
        // Where anything else was written on the source's server meanwhile, which other tests do, a walk
        // by heap looks through the partition once more for what was updated.
        let looks = if walk.contains("by heap") { rows } else { 0 };
        assert!(
            read < rows * 3 / 2 + looks,
            "{ties} ties, pages of {batch}: {reads:?} of {rows}, by {walk}"
        );
    }
}

#[test]
fn a_plan_warns_where_the_index_has_the_timestamp_alone() {
    let rows = Rows::of(ROWS).ties(100).actors_per_tie(50);
    let fixture = fixture_with_an_index_on_the_timestamp_alone(rows);
    let warned = fixture.stage_value(
        "select bool_or(warning like '%no index has both columns of the key%create index concurrently%')
           from lrs_extract.plan('2025-04-01', '2025-05-01')",
    );
    assert_eq!(warned, "true");
    Pull::everything().run(&mut fixture.stage());
    let advice = fixture.stage_value("select advice from lrs_extract.bottleneck");
    assert!(advice.contains("no index has both columns"), "{advice}");
}
