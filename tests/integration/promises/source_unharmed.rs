//! Promise 5: the source is read in short, read-only, bounded statements that say who they are.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Pull, Rows, await_that, refusal};

/// Logs the reader's session settings from inside its statements, once a statement since it is
/// stable.
const WATCH_SESSIONS: &str = "
    create function acid.note() returns boolean language plpgsql stable as $$
    begin
        raise log 'SEEN application_name=<%> read_only=<%> timezone=<%> statement_timeout=<%> lock_timeout=<%> idle=<%>',
            current_setting('application_name'), current_setting('transaction_read_only'),
            current_setting('timezone'), current_setting('statement_timeout'),
            current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout');
        return true;
    end $$;";

/// What the source has logged for this fixture.
fn log_lines(fixture: &Fixture) -> Vec<String> {
    let of_fixture = format!(" {} reader ", fixture.db);
    // A statement of several lines goes on after a tab.
    let log = fixture.pair.source.log().replace("\n\t", " ");
    log.lines().filter(|line| line.contains(&of_fixture)).map(str::to_owned).collect()
}

/// The settings seen in each statement that read rows.
fn sessions_seen(setup: &str) -> Vec<String> {
    let fixture = Fixture::with(&Rows::of(40));
    fixture.on_source(WATCH_SESSIONS);
    fixture.call_when_read("acid.note()");
    if !setup.is_empty() {
        fixture.on_stage(setup);
    }
    fixture.pull_all();
    let seen: Vec<String> =
        log_lines(&fixture).into_iter().filter(|line| line.contains("SEEN ")).collect();
    assert!(seen.len() >= 5, "a statement in each partition was watched: {seen:#?}");
    seen
}

#[test]
fn every_statement_is_read_only() {
    for line in sessions_seen("") {
        assert!(line.contains("read_only=<on>"), "{line}");
    }
}

#[test]
fn every_session_is_in_utc() {
    for line in sessions_seen("") {
        assert!(line.contains("timezone=<UTC>"), "{line}");
    }
}

#[test]
fn every_session_has_timeouts_that_are_not_zero() {
    for line in sessions_seen("") {
        assert!(!line.contains("statement_timeout=<0>"), "{line}");
        assert!(!line.contains("lock_timeout=<0>"), "{line}");
    }
}

#[test]
fn the_servers_options_set_the_timeouts() {
    let seen = sessions_seen(
        "alter server lrs_source options (add statement_timeout '77s', add lock_timeout '3s')",
    );
    for line in seen {
        assert!(line.contains("statement_timeout=<77s> lock_timeout=<3s>"), "{line}");
    }
}

#[test]
fn every_reading_session_names_its_run_and_worker() {
    for line in sessions_seen("") {
        let name = line.split("application_name=<").nth(1).and_then(|rest| rest.split('>').next());
        let name = name.expect("a name");
        let numbers = name.strip_prefix("lrs_extract run=").expect(name);
        let (run, worker) = numbers.split_once(" worker=").expect(name);
        assert!(run.parse::<u64>().is_ok() && worker.parse::<u64>().is_ok(), "{name}");
    }
}

/// Every statement of the reader, from the source's log.
fn statements_of_a_pull(batch: i64) -> Vec<String> {
    let fixture = Fixture::with(&Rows::of(3_000).nulls_every(5).in_key_order());
    fixture.on_source(&format!("alter database {} set log_statement = 'all'", fixture.db));
    Pull::everything().batch(batch).jobs(1).run(&mut fixture.stage());
    log_lines(&fixture)
}

#[test]
fn a_page_never_asks_for_more_rows_than_the_batch_and_its_ties() {
    // By one worker: the parameters of a statement are the next line.
    let lines = statements_of_a_pull(100);
    let limits: Vec<i64> = lines
        .windows(2)
        .filter(|pair| pair[0].contains(" execute ") && pair[0].contains("fetch first ($1"))
        .map(|pair| {
            let limit = pair[1].split("parameters: $1 = '").nth(1);
            let limit = limit.and_then(|rest| rest.split('\'').next());
            limit.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{pair:?}"))
        })
        .collect();
    assert!(limits.len() >= 25, "a statement a page: {lines:#?}");
    assert!(limits.iter().all(|limit| (1..=100).contains(limit)), "{limits:?}");
}

/// Else each page would be an entry of its own in the source's pg_stat_statements.
#[test]
fn the_pages_of_a_walk_are_executions_of_a_few_statements() {
    let lines = statements_of_a_pull(100);
    let pages: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once(" execute ").and_then(|(_, rest)| rest.split_once(": ")))
        .map(|(_, text)| text)
        .filter(|text| text.contains("fetch first ($1"))
        .collect();
    let texts: std::collections::HashSet<&&str> = pages.iter().collect();
    assert!(pages.len() >= 25 && texts.len() <= 4, "{} pages: {texts:#?}", pages.len());
}

#[test]
fn rows_are_never_counted_on_the_source() {
    let statements = statements_of_a_pull(1_000);
    assert!(statements.iter().any(|line| line.contains("fetch first")), "{statements:#?}");
    for line in statements {
        assert!(!line.to_lowercase().contains("count("), "{line}");
    }
}

#[test]
fn no_snapshot_is_held_between_pages() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.slow_target(200);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    let (mut longest, mut seen) = (0.0_f64, 0);
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        let age = fixture.source_value(
            "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)
                    + case when count(*) = 0 then 1000 else 0 end
               from pg_stat_activity
              where application_name like 'lrs_extract run=%' and datname = current_database()",
        );
        let age: f64 = age.parse().expect("a number");
        // Between two slices there may be no session.
        if age < 1000.0 {
            (longest, seen) = (longest.max(age), seen + 1);
        }
    }
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    let _ = running.result();
    assert!(seen > 0, "a reading session was seen");
    assert!(longest < 1.0, "a transaction of {longest} s on the source");
}

#[test]
fn a_byte_limit_slows_the_run_down() {
    let fixture = Fixture::with(&Rows::of(3_000));
    // About 1.5 MB of statements: at this rate some three seconds.
    fixture.on_stage("update lrs_extract.pipeline set max_bytes_per_second = 500000");
    let began = Instant::now();
    Pull::everything().batch(300).run(&mut fixture.stage());
    assert!(began.elapsed() > Duration::from_millis(1_200), "took only {:?}", began.elapsed());
    fixture.assert_all_rows();
}

#[test]
fn a_pause_holds_the_pages_back_and_its_end_lets_them_go() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.on_source(
        "create table acid.pause ();
         insert into acid.pause default values;
         grant select on acid.pause to reader;
         create function acid.asked() returns boolean language plpgsql stable as
             $$ begin raise log 'PAUSE asked'; return exists (select from acid.pause); end $$",
    );
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select acid.asked()'");
    let running = fixture.start(&Pull::everything().batch(100));
    let asked = || log_lines(&fixture).iter().filter(|line| line.contains("PAUSE asked")).count();
    await_that("the pause is asked for again and again", Duration::from_secs(30), || asked() >= 3);
    assert_eq!(fixture.committed_batches(), 0);
    fixture.on_source("delete from acid.pause");
    assert_eq!(running.pulled().rows, 1_000);
}

#[test]
fn a_paused_run_can_be_cancelled() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select true'");
    let running = fixture.start(&Pull::everything().batch(100));
    await_that("a worker is at work", Duration::from_secs(10), || {
        !fixture.stage_value(include_str!("../fixture/sql/workers.sql")).is_empty()
    });
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
    fixture.assert_nothing_left_running();
}

#[test]
fn a_pause_in_the_middle_of_a_run_stops_the_reading_until_it_is_over() {
    let fixture = Fixture::with(&Rows::of(4_000).ties(3).nulls_every(4));
    fixture.on_source(
        "create table acid.pause ();
         grant select on acid.pause to reader;
         create function acid.asked() returns boolean language plpgsql stable as
             $$ begin raise log 'PAUSE asked'; return exists (select from acid.pause); end $$",
    );
    fixture.on_source(&format!("alter database {} set log_statement = 'all'", fixture.db));
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select acid.asked()'");
    fixture.slow_target(20);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    fixture.on_source("insert into acid.pause default values");
    await_that("both workers pause", Duration::from_secs(10), || {
        fixture.stage_value(
            "select count(*) from pg_stat_activity where datname = current_database()
             and backend_type = 'lrs_extract worker' and query like '%paused by pause_while'",
        ) == "2"
    });
    let lines = |of: &str| log_lines(&fixture).iter().filter(|line| line.contains(of)).count();
    let (pages, asked, batches) =
        (lines("fetch first"), lines("PAUSE asked"), fixture.committed_batches());
    await_that("the pause is asked for twice by each", Duration::from_secs(10), || {
        lines("PAUSE asked") >= asked + 4
    });
    assert_eq!(
        (lines("fetch first"), fixture.committed_batches()),
        (pages, batches),
        "pages and batches"
    );
    fixture.on_source("delete from acid.pause");
    assert_eq!(running.pulled().rows, 4_000);
    fixture.assert_all_rows();
}

/// A pull whose `pause_while` is `query`, and what it was refused with.
fn refused_pause(query: &str) -> (String, String) {
    let fixture = Fixture::with(&Rows::of(100));
    fixture.on_stage(&format!("update lrs_extract.pipeline set pause_while = $q${query}$q$"));
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert!(refused.hint().is_some_and(|hint| hint.contains("one boolean")), "{refused:?}");
    (refused.code().code().to_owned(), refused.message().to_owned())
}

#[test]
fn a_pause_that_is_no_single_boolean_is_refused_in_words() {
    let (code, words) = refused_pause("select n > 1 from generate_series(1, 3) n");
    assert_eq!(code, "42804", "{words}");
    assert!(words.contains("3 rows"), "{words}");
    let (code, words) = refused_pause("select 'maybe'::text");
    assert_eq!(code, "42804", "{words}");
}

#[test]
fn a_pause_that_changes_settings_changes_none_of_the_walks() {
    let fixture = Fixture::with(&Rows::of(40));
    fixture.on_source(WATCH_SESSIONS);
    fixture.call_when_read("acid.note()");
    fixture.on_stage(
        "update lrs_extract.pipeline set pause_while =
             $q$select set_config('default_transaction_read_only', 'off', false) is null
                    or set_config('statement_timeout', '0', false) is null$q$",
    );
    fixture.pull_all();
    let seen: Vec<String> =
        log_lines(&fixture).into_iter().filter(|line| line.contains("SEEN ")).collect();
    assert!(!seen.is_empty());
    for line in seen {
        assert!(
            line.contains("read_only=<on>") && line.contains("statement_timeout=<5min>"),
            "{line}"
        );
    }
}

#[test]
fn a_locked_target_pins_no_snapshot_on_the_source() {
    let fixture = Fixture::with(&Rows::of(60_000).between("2025-04-01", "2025-05-01"));
    fixture.on_stage("alter server lrs_source options (add statement_timeout '5s')");
    // The rows are more than what has room, and the page that is asked for last is more than a socket holds.
    let db = &fixture.db;
    fixture.on_stage(&format!("alter database {db} set lrs_extract.worker_memory = '24MB'"));
    for walk in ["heap", "key"] {
        fixture.on_stage(&format!(
            "truncate pipeline.aidt_raw;
             select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt');
             update lrs_extract.pipeline set walk = '{walk}'"
        ));
        let mut locker = fixture.stage();
        locker
            .batch_execute("begin; lock table pipeline.aidt_raw in access exclusive mode")
            .expect("the lock");
        let running = fixture.start(&Pull::period("2025-04-01", "2025-05-01"));
        let mut longest = 0.0_f64;
        for _ in 0..120 {
            sleep(Duration::from_millis(100));
            let age = fixture.source_value(
                "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)
                   from pg_stat_activity
                  where application_name like 'lrs_extract run=%' and datname = current_database()
                    and state <> 'idle'",
            );
            longest = longest.max(age.parse().expect("a number"));
        }
        locker.batch_execute("commit").expect("the end of the lock");
        assert_eq!(running.pulled().rows, 60_000);
        fixture.assert_all_rows();
        assert!(longest < 4.0, "{walk}: a snapshot of {longest} s on the source");
    }
}

/// Run by themselves: with others beside them the machine would be the limit.
mod alone {
    use super::*;

    /// Pulls 24 MB of statements, one every `interval`, by two workers with a byte limit; gives the rate
    /// they came at, as a part of the limit.
    fn part_of_the_byte_limit(interval: &str) -> f64 {
        const LIMIT: f64 = 2_500_000.0;
        let fixture = Fixture::with(&Rows::of(0));
        fixture.on_source(&format!(
            "insert into acid.lrs_statement_new
             select '2025-03-01'::timestamptz + n * interval '{interval}',
                    acid.statement(n, false) || jsonb_build_object('text', repeat(md5(n::text), 200)), n
             from generate_series(0, 24 * 150) n"
        ));
        fixture
            .on_stage(&format!("update lrs_extract.pipeline set max_bytes_per_second = {LIMIT}"));
        let began = Instant::now();
        Pull::everything().batch(200).jobs(2).run(&mut fixture.stage());
        let took = began.elapsed().as_secs_f64();
        let bytes: f64 =
            fixture.stage_value("select sum(bytes) from lrs_extract.batch").parse().unwrap();
        fixture.assert_all_rows();
        bytes / took / LIMIT
    }

    #[test]
    fn two_workers_together_keep_the_byte_limit() {
        let part = part_of_the_byte_limit("1 hour");
        assert!((part - 1.0).abs() < 0.1, "{part} of the limit");
    }

    #[test]
    fn a_worker_that_is_left_alone_takes_the_whole_byte_limit() {
        // All in one slice: the other worker comes to its end at once. Its share alone would be half.
        let part = part_of_the_byte_limit("1 second");
        assert!((0.7..1.1).contains(&part), "{part} of the limit");
    }
}
