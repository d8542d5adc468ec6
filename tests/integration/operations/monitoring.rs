//! The metrics and the dashboard of `examples/monitoring`: the queries yield what they declare,
//! for a role that has nothing but what `grants.sql` grants, and the dashboard and the README's
//! alerts ask for nothing else.

mod exporter;
mod promql;

use std::collections::BTreeSet;
use std::time::Duration;

use postgres::Client;

use crate::fixture::{Fixture, Pull, Rows, await_some, refusal};
use exporter::{Queries, Scrape};
use promql::{Selector, selectors};

const GRANTS: &str = include_str!("../../../examples/monitoring/grants.sql");
const DASHBOARD: &str = include_str!("../../../examples/monitoring/dashboard.json");
const README: &str = include_str!("../../../examples/monitoring/README.md");

const SOON: Duration = Duration::from_secs(20);

/// The metric that takes the privilege to see what other roles' processes do.
const WORKERS: &str = "lrs_extract_workers_count";
const NEWEST_STATE: &str = "lrs_extract_run_state_newest";

/// The labels that Prometheus and the exporter add to every metric.
const ADDED_LABELS: [&str; 3] = ["instance", "job", "server"];

/// The statements of `grants.sql`, for this role.
fn grants(role: &str) -> Vec<String> {
    let code: Vec<&str> = GRANTS.lines().filter(|line| !line.starts_with("--")).collect();
    let code = code.join("\n").replace("lrs_monitor", role);
    let statements = code.split(';').map(|statement| statement.trim().to_owned());
    statements.filter(|statement| !statement.is_empty()).collect()
}

/// What of `grants.sql` a role is given.
#[derive(Clone, Copy, PartialEq)]
enum Granted {
    All,
    AllButStats,
}

fn role_of(fixture: &Fixture) -> String {
    format!("{}_monitor", fixture.db)
}

/// A session of a role that has these grants and nothing else.
fn monitor(fixture: &Fixture, granted: Granted) -> Client {
    let role = role_of(fixture);
    fixture.on_stage(&format!("create role {role} login password 'x'"));
    for grant in grants(&role) {
        if granted == Granted::All || !grant.contains("pg_read_all_stats") {
            fixture.on_stage(&grant);
        }
    }
    fixture.stage_as(&role, "x")
}

fn without_workers(names: BTreeSet<String>) -> BTreeSet<String> {
    names.into_iter().filter(|name| name != WORKERS).collect()
}

fn assert_newest_run_is(state: &str, scrape: &Scrape) {
    let others = ["running", "done", "failed", "cancelled", "interrupted"];
    for other in others {
        let wanted = if other == state { 1.0 } else { 0.0 };
        assert_eq!(scrape.with(NEWEST_STATE, "state", other), wanted, "{other}: {scrape:#?}");
    }
}

#[test]
fn every_declared_metric_is_there_during_a_run_and_after_it() {
    let queries = Queries::shipped();
    let fixture = Fixture::with(&Rows::of(20_000).odd_ids_every(1_000));
    fixture.slow_target(100);
    let mut session = monitor(&fixture, Granted::All);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));

    let during = await_some("a worker is seen", SOON, || {
        Some(queries.scrape(&mut session)).filter(|scrape| scrape.names().contains(WORKERS))
    });
    assert_eq!(during.names(), queries.names());
    assert_newest_run_is("running", &during);
    for metric in ["rows", "bytes", "rows_per_second", "bytes_per_second", "time_left_seconds"] {
        let metric = format!("lrs_extract_newest_run_{metric}");
        assert!(during.value(&metric) > 0.0, "{metric} in {during:#?}");
    }
    let done = during.value("lrs_extract_newest_run_done_ratio");
    assert!(0.0 < done && done < 1.0, "{during:#?}");

    fixture.quick_target();
    running.pulled();
    let after = queries.scrape(&mut session);
    assert_eq!(after.names(), without_workers(queries.names()));
    assert_newest_run_is("done", &after);
    assert_tells_of_the_finished_run(&fixture, &after);
    for counter in queries.counters() {
        assert!(after.value(&counter) >= during.value(&counter), "{counter} has fallen");
    }
}

/// By metrics alone: 20,000 rows, 20 of them rejected, all of March to July.
fn assert_tells_of_the_finished_run(fixture: &Fixture, scrape: &Scrape) {
    assert_eq!(fixture.target_rows(), 19_980);
    for (metric, wanted) in [
        ("lrs_extract_pipeline_rows_total", 19_980.0),
        ("lrs_extract_pipeline_rejected_rows_total", 20.0),
        ("lrs_extract_newest_run_rows", 19_980.0),
        ("lrs_extract_newest_run_rejected_rows", 20.0),
        ("lrs_extract_newest_run_done_ratio", 1.0),
        ("lrs_extract_newest_run_time_left_seconds", 0.0),
    ] {
        assert_eq!(scrape.value(metric), wanted, "{metric}");
    }
    let slices = scrape.value("lrs_extract_newest_run_slices");
    assert_eq!(scrape.value("lrs_extract_newest_run_slices_done"), slices);
    let end = "select extract(epoch from timestamptz '2025-08-01 00:00Z')";
    let end: f64 = fixture.stage_value(end).parse().expect("seconds");
    assert_eq!(scrape.value("lrs_extract_newest_run_watermark_timestamp_seconds"), end);
    assert_eq!(scrape.value("lrs_extract_pipeline_pulled_to_timestamp_seconds"), end);
    let ratios: f64 = scrape.all_of("lrs_extract_bottleneck_time_ratio").iter().sum();
    assert!((ratios - 1.0).abs() < 1e-6, "{ratios}");
    let verdict = fixture.stage_value("select verdict from lrs_extract.bottleneck");
    let limiting: f64 = scrape.all_of("lrs_extract_bottleneck_limiting").iter().sum();
    assert_eq!(limiting, if verdict == "balanced" { 0.0 } else { 1.0 }, "{verdict}");
}

#[test]
fn before_the_first_run_there_is_nothing_and_a_failed_run_shows_as_such() {
    let queries = Queries::shipped();
    let fixture = Fixture::with(&Rows::of(300));
    let mut session = monitor(&fixture, Granted::All);
    assert_eq!(queries.scrape(&mut session).names(), BTreeSet::new());

    fixture.on_stage(
        "create function pipeline.object() returns trigger language plpgsql as
             'begin raise exception ''no''; end';
         create trigger object before insert on pipeline.aidt_raw
             for each statement execute function pipeline.object()",
    );
    refusal(Pull::everything().try_run(&mut fixture.stage()));
    let failed = queries.scrape(&mut session);
    assert_eq!(failed.names(), without_workers(queries.names()));
    assert_newest_run_is("failed", &failed);
    let success = "lrs_extract_pipeline_last_success_timestamp_seconds";
    assert_eq!(failed.value(success), 0.0);
    assert_eq!(failed.value("lrs_extract_newest_run_rows"), 0.0);

    fixture.on_stage("drop trigger object on pipeline.aidt_raw");
    fixture.pull_all();
    let done = queries.scrape(&mut session);
    assert_newest_run_is("done", &done);
    assert!(done.value(success) >= done.value("lrs_extract_newest_run_started_timestamp_seconds"));
    assert_eq!(done.with("lrs_extract_run_state_runs", "state", "failed"), 1.0);
    assert_eq!(done.with("lrs_extract_run_state_runs", "state", "done"), 1.0);
}

#[test]
fn usage_and_select_are_enough_save_for_what_the_workers_do() {
    let queries = Queries::shipped();
    let fixture = Fixture::with(&Rows::of(20_000));
    fixture.slow_target(100);
    let mut session = monitor(&fixture, Granted::AllButStats);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    assert_eq!(queries.scrape(&mut session).names(), without_workers(queries.names()));

    let role = role_of(&fixture);
    let stats = grants(&role).pop().expect("a last grant");
    assert!(stats.contains("pg_read_all_stats"), "{stats}");
    fixture.on_stage(&stats);
    await_some("a worker is seen", SOON, || {
        queries.scrape(&mut session).names().contains(WORKERS).then_some(())
    });
    for table in ["pipeline", "run", "slice", "batch", "reject"] {
        let read = session.query(&format!("select from lrs_extract.{table}"), &[]);
        assert_eq!(refusal(read).code().code(), "42501", "{table}");
    }
    fixture.quick_target();
    running.pulled();
}

#[test]
fn the_dashboard_and_the_alerts_ask_only_for_metrics_and_labels_that_the_queries_yield() {
    let dashboard = serde_json::from_str(DASHBOARD).expect("JSON");
    let metrics = Queries::shipped().metrics();
    let (shown, alerts) = (expressions(&dashboard), alerts());
    assert!(shown.len() >= 15 && alerts.len() >= 3, "{shown:#?} {alerts:#?}");
    for Expression { text, legend } in shown.iter().chain(&alerts) {
        let found = selectors(text);
        assert!(!found.is_empty(), "nothing is selected by {text}");
        for Selector { metric, labels } in found {
            let known = metrics.get(&metric).unwrap_or_else(|| panic!("{metric} in {text}"));
            for label in labels.iter().chain(legend) {
                let is_known = known.contains(label) || ADDED_LABELS.contains(&label.as_str());
                assert!(is_known, "{metric} has no label {label}: {text}");
            }
        }
    }
}

/// What a dashboard asks of Prometheus, and the labels by which it calls the answers.
#[derive(Debug)]
struct Expression {
    text: String,
    legend: Vec<String>,
}

/// The expressions of panels and annotations, and the metrics of the variables' lists, wherever
/// they are.
fn expressions(of: &serde_json::Value) -> Vec<Expression> {
    let mut found = Vec::new();
    if let Some(object) = of.as_object() {
        let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
        if !text("expr").is_empty() {
            let legend = labels_of_legend(text("legendFormat"));
            found.push(Expression { text: text("expr").to_owned(), legend });
        }
        let list = text("query").strip_prefix("label_values(");
        if let Some((metric, label)) = list.and_then(|list| list.rsplit_once(',')) {
            let legend = vec![label.trim_matches([' ', ')']).to_owned()];
            found.push(Expression { text: metric.to_owned(), legend });
        }
        found.extend(object.values().flat_map(expressions));
    }
    if let Some(array) = of.as_array() {
        found.extend(array.iter().flat_map(expressions));
    }
    found
}

/// The README's list of them: each begins with its expression.
fn alerts() -> Vec<Expression> {
    let items = README.lines().filter_map(|line| line.strip_prefix("- `"));
    let texts = items.filter_map(|item| item.split('`').next());
    texts.map(|text| Expression { text: text.to_owned(), legend: Vec::new() }).collect()
}

/// `{{pipeline}}: {{state}}` has two.
fn labels_of_legend(format: &str) -> Vec<String> {
    let parts = format.split("{{").skip(1);
    parts.map(|part| part.split("}}").next().unwrap_or(part).trim().to_owned()).collect()
}
