//! The operator's view: `progress` while a run goes on and after it, and the cause that `bottleneck`
//! names on staged cases.

use std::thread::sleep;
use std::time::Duration;

use crate::fixture::{Fixture, Pair, Pull, READER_PASSWORD, Rows, await_some, await_that};

fn verdict(fixture: &Fixture) -> String {
    fixture.stage_value("select verdict from lrs_extract.bottleneck order by run_id desc limit 1")
}

fn advice(fixture: &Fixture) -> String {
    fixture.stage_value("select advice from lrs_extract.bottleneck order by run_id desc limit 1")
}

/// All six shares of the last run, which must add up.
fn shares(fixture: &Fixture) -> String {
    let sum = fixture.stage_value(
        "select round((source_share + transform_share + insert_share + commit_share + lock_share
                       + throttle_share)::numeric, 6)::text
           from lrs_extract.bottleneck order by run_id desc limit 1",
    );
    assert_eq!(sum, "1.000000");
    fixture.stage_value("select b::text from lrs_extract.bottleneck b order by run_id desc limit 1")
}

#[test]
fn a_rate_limit_is_named() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.on_stage("update lrs_extract.pipeline set max_bytes_per_second = 1000000");
    Pull::everything().batch(1_000).run(&mut fixture.stage());
    assert_eq!(verdict(&fixture), "throttle", "{}", shares(&fixture));
    let advice = advice(&fixture);
    assert!(advice.contains("max_bytes_per_second"), "{advice}");
    assert!(!advice.contains("create index"), "{advice}");
}

#[test]
fn a_held_lock_is_named_and_seen_while_it_is_waited_for() {
    let fixture = Fixture::with(&Rows::of(4_000));
    let mut holder = fixture.stage();
    holder.batch_execute("begin; lock table pipeline.aidt_raw in share mode").expect("a lock");
    let running = fixture.start(&Pull::everything().batch(1_000));
    await_that("a worker is seen waiting", Duration::from_secs(20), || {
        fixture.stage_value(
            "select coalesce(bool_or(workers::text like '%waiting for a lock%'), false)::text
               from lrs_extract.progress",
        ) == "true"
    });
    await_that("the lock is named before any batch is committed", Duration::from_secs(20), || {
        verdict(&fixture) == "lock"
    });
    assert!(advice(&fixture).contains("pg_blocking_pids"), "{}", advice(&fixture));
    shares(&fixture);
    // What is to be measured is this time.
    sleep(Duration::from_secs(2));
    holder.batch_execute("rollback").expect("the lock is given back");
    running.pulled();
    assert_eq!(verdict(&fixture), "lock", "{}", shares(&fixture));
    fixture.assert_all_rows();
}

#[test]
fn a_pause_is_named_while_it_lasts() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.slow_target(20);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select true'");
    await_that("the pause is named", Duration::from_secs(30), || verdict(&fixture) == "throttle");
    assert!(advice(&fixture).contains("pause_while"), "{}", advice(&fixture));
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
}

#[test]
fn a_slow_trigger_is_named() {
    let fixture = Fixture::with(&Rows::of(2_000));
    fixture.on_stage(
        "create function pipeline.dawdle() returns trigger language plpgsql as
           $$ begin perform pg_sleep(0.0005); return new; end $$;
         create trigger dawdle before insert on pipeline.aidt_raw
           for each row execute function pipeline.dawdle()",
    );
    Pull::everything().batch(500).run(&mut fixture.stage());
    assert_eq!(verdict(&fixture), "insert", "{}", shares(&fixture));
    assert!(advice(&fixture).contains("dawdle"), "{}", advice(&fixture));
    // Also to somebody who may see the view and nothing of the target.
    let role = format!("onlooker_{}", fixture.db);
    fixture.on_stage(&format!(
        "create role {role}; grant usage on schema lrs_extract to {role};
         grant select on lrs_extract.bottleneck to {role}"
    ));
    let mut onlooker = fixture.stage();
    onlooker.batch_execute(&format!("set role {role}")).expect("a role");
    let row = onlooker.query_one("select advice from lrs_extract.bottleneck", &[]);
    let said: String = row.expect("the advice").get(0);
    assert!(said.contains("dawdle"), "{said}");
}

#[test]
fn a_slow_source_is_named() {
    let fixture = Fixture::with(&Rows::of(1_000));
    fixture.slow_source("0.003");
    Pull::everything().batch(200).run(&mut fixture.stage());
    assert_eq!(verdict(&fixture), "source", "{}", shares(&fixture));
    assert!(advice(&fixture).starts_with("The source is the limit"), "{}", advice(&fixture));
}

/// A fixture whose source has no index to walk by.
fn fixture_without_index(rows: i64) -> Fixture {
    let fixture = Fixture::with(&Rows::of(rows));
    fixture.on_source(
        "do $$ declare i regclass; begin
           for i in select indexrelid::regclass from pg_index x join pg_class c on c.oid = x.indrelid
                     where c.relnamespace = 'acid'::regnamespace and c.relkind = 'p' loop
             execute format('drop index %s', i);
           end loop; end $$",
    );
    // By heap, none is needed.
    fixture.on_stage("update lrs_extract.pipeline set walk = 'key'");
    fixture
}

/// How the advice names the index that is missing in the first of the partitions.
const MISSING_INDEX: &str =
    r#"create index concurrently on acid.lrs_statement_2025_03 ("timestamp", "actor_id");"#;

/// What the plan warns of.
fn plan_warnings(fixture: &Fixture) -> Vec<String> {
    let sql = "select distinct warning from lrs_extract.plan('2025-03-01', '2025-08-01')
                where warning is not null order by 1";
    let rows = fixture.stage().query(sql, &[]).expect("a plan");
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn the_statements_that_create_a_missing_index_run_as_they_stand() {
    let fixture = fixture_without_index(500);
    fixture.on_source(
        "alter table acid.lrs_statement_new rename actor_id to \"Actor \"\"Id\";
         alter table acid.lrs_statement_new detach partition acid.lrs_statement_2025_03;
         create table acid.\"March, 2025\" partition of acid.lrs_statement_new
             for values from ('2025-03-01') to ('2025-04-01') partition by hash (\"timestamp\");
         create table acid.march_0 partition of acid.\"March, 2025\" for values with (modulus 2, remainder 0);
         create table acid.march_1 partition of acid.\"March, 2025\" for values with (modulus 2, remainder 1);
         insert into acid.lrs_statement_new select * from acid.lrs_statement_2025_03;
         analyze",
    );
    fixture.on_stage(r#"update lrs_extract.pipeline set actor_column = 'Actor "Id', walk = 'key'"#);
    let warnings = plan_warnings(&fixture);
    assert_eq!(warnings.len(), 5, "{warnings:#?}");
    for warning in &warnings {
        let (_, statements) = warning.split_once("on the source: ").expect("statements");
        for statement in statements.split_inclusive(';') {
            // Each on its own: CONCURRENTLY runs in no transaction block.
            fixture.on_source(statement.trim());
        }
    }
    fixture.on_source("analyze");
    let left = plan_warnings(&fixture);
    assert!(!left.iter().any(|warning| warning.contains("no index")), "{left:#?}");
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, 500);
}

#[test]
fn a_view_without_an_index_is_no_table_to_create_one_on() {
    let fixture = fixture_without_index(500);
    fixture.on_source(
        "create view acid.seen as select * from acid.lrs_statement_new;
         grant select on acid.seen to reader",
    );
    fixture.on_stage("update lrs_extract.pipeline set source_table = 'acid.seen'");
    let warnings = plan_warnings(&fixture);
    assert!(
        warnings.iter().all(|w| w.contains("acid.seen is a view") && !w.contains("concurrently")),
        "{warnings:#?}"
    );
    assert!(!warnings.is_empty());
}

#[test]
fn a_missing_index_is_named_where_the_source_is_waited_for() {
    let fixture = fixture_without_index(500);
    fixture.slow_source("0.002");
    Pull::everything().batch(100).run(&mut fixture.stage());
    assert_eq!(verdict(&fixture), "source", "{}", shares(&fixture));
    let advice = advice(&fixture);
    assert!(
        advice.starts_with("Waiting for the source: ") && advice.contains(MISSING_INDEX),
        "{advice}"
    );
}

#[test]
fn a_missing_index_is_named_beside_whatever_else_is_the_limit() {
    let fixture = fixture_without_index(4_000);
    fixture.on_stage("update lrs_extract.pipeline set max_bytes_per_second = 1000000");
    Pull::everything().batch(1_000).run(&mut fixture.stage());
    assert_eq!(verdict(&fixture), "throttle", "{}", shares(&fixture));
    let advice = advice(&fixture);
    assert!(advice.contains("max_bytes_per_second"), "{advice}");
    assert!(advice.contains("The plan warned") && advice.contains(MISSING_INDEX), "{advice}");
}

/// Pulls in batches that are not tiny: one for each of the five months.
fn pull_by_months(fixture: &Fixture) {
    fixture.on_stage("update lrs_extract.pipeline set slice_width = '40 days'");
    Pull::everything().run(&mut fixture.stage());
    fixture.assert_all_rows();
}

#[test]
fn a_deferred_constraint_that_takes_its_time_at_commit_is_named() {
    let fixture = Fixture::with(&Rows::of(2_000));
    fixture.on_stage(
        "create function pipeline.dawdle() returns trigger language plpgsql as
           $$ begin perform pg_sleep(0.001); return null; end $$;
         create constraint trigger dawdle_at_last after insert on pipeline.aidt_raw
           deferrable initially deferred for each row execute function pipeline.dawdle()",
    );
    pull_by_months(&fixture);
    assert_eq!(verdict(&fixture), "commit", "{}", shares(&fixture));
    assert!(advice(&fixture).contains("dawdle_at_last"), "{}", advice(&fixture));
}

#[test]
fn a_standby_that_each_commit_waits_for_is_named() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(12_000));
    let standby = fixture.pair.stage.standby("recovery_min_apply_delay = '500ms'");
    fixture
        .on_stage(&format!("alter database {} set synchronous_commit = remote_apply", fixture.db));
    standby.await_replay_of(&fixture.pair.stage);
    fixture.pair.stage.set("synchronous_standby_names = '*'");
    pull_by_months(&fixture);
    assert_eq!(verdict(&fixture), "commit", "{}", shares(&fixture));
    assert!(advice(&fixture).contains("synchronous standby"), "{}", advice(&fixture));
}

#[test]
fn progress_tells_the_share_done_while_the_run_goes_on_and_after_it() {
    let fixture = Fixture::with(&Rows::of(20_000));
    fixture.slow_target(100);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    let seen = fixture.stage_value(
        "select (state = 'running' and share_done > 0 and share_done < 1 and rows > 0
                 and rows_per_second > 0 and bytes_per_second > 0 and time_left > interval '0'
                 and watermark is not null and jsonb_array_length(workers) >= 1)::text
           from lrs_extract.progress",
    );
    let whole = fixture.stage_value("select p::text from lrs_extract.progress p");
    assert_eq!(seen, "true", "{whole}");
    fixture.quick_target();
    running.pulled();
    let seen = fixture.stage_value(
        "select (state = 'done' and share_done = 1 and rows = 20000 and time_left is null
                 and rows_per_second > 0 and workers is null)::text
           from lrs_extract.progress",
    );
    assert_eq!(seen, "true");
}

/// The workers of the last run, as `progress` shows them, that are doing this.
fn workers_doing(fixture: &Fixture, what: &str) -> Vec<String> {
    let sql = "select w::text from lrs_extract.progress, jsonb_array_elements(workers) w
               where state = 'running' and w ->> 'doing' = $1";
    let rows = fixture.stage().query(sql, &[&what]).expect("progress");
    rows.iter().map(|row| row.get(0)).collect()
}

fn await_a_worker(fixture: &Fixture, doing: &str) -> String {
    await_some(doing, Duration::from_secs(20), || workers_doing(fixture, doing).pop())
}

#[test]
fn progress_tells_what_each_worker_is_doing() {
    let fixture = Fixture::with(&Rows::of(4_000));
    fixture.slow_source("0.001");
    fixture.on_stage(
        "create function pipeline.dawdle() returns trigger language plpgsql as
           $$ begin perform pg_sleep(tg_argv[0]::float); return null; end $$;
         create trigger dawdle after insert on pipeline.aidt_raw
           for each statement execute function pipeline.dawdle(0.3);
         create constraint trigger dawdle_at_last after insert on pipeline.aidt_raw
           deferrable initially deferred for each row execute function pipeline.dawdle(0.002)",
    );
    let running = fixture.start(&Pull::everything().batch(200));
    for doing in ["waiting for the source", "inserting", "committing"] {
        await_a_worker(&fixture, doing);
    }
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    let _ = running.result();
}

#[test]
fn a_source_that_goes_away_is_seen_in_progress_with_its_error_until_it_is_back() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(8_000).nulls_every(4));
    fixture.slow_target(20);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    fixture.pair.source.kill();
    // It says what it does a moment before the ledger has the reason.
    let worker = await_some("a retry and its reason", Duration::from_secs(20), || {
        let worker = workers_doing(&fixture, "retrying").pop()?;
        let told = fixture.stage_value(&format!(
            "select (w ->> 'retries')::int >= 1 and w ->> 'last_error' like 'could not %'
             from (select $w${worker}$w$::jsonb) x (w)"
        ));
        (told == "true").then_some(worker)
    });
    assert!(!worker.contains(READER_PASSWORD), "{worker}");
    fixture.pair.source.start_again();
    fixture.on_stage("update lrs_extract.pipeline set retry_delay = '10 ms'");
    assert_eq!(running.pulled().rows, 8_000);
    let kept = fixture.stage_value(
        "select bool_and((retries > 0) = (last_error is not null)) and sum(retries) > 0
            and bool_and(state = 'done')
           from lrs_extract.slice",
    );
    assert_eq!(kept, "true");
    fixture.assert_all_rows();
}

/// Run by themselves: with others beside them the machine would be the limit.
mod alone {
    use super::*;

    #[test]
    fn tiny_batches_are_named() {
        let fixture = Fixture::with(&Rows::of(4_000));
        Pull::everything().batch(5).run(&mut fixture.stage());
        assert_eq!(verdict(&fixture), "commit", "{}", shares(&fixture));
        assert!(advice(&fixture).contains("raise batch"), "{}", advice(&fixture));
    }
}
