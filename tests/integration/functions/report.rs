//! `report`: what a real run's text and page say is what the ledger has; nothing foreign gets out
//! of its quotes; and it works for a run in any state.

use std::time::Duration;

use roxmltree::{Document, Node};

use crate::fixture::{
    Fixture, Pair, Pull, Rows, ServerPlan, Version, await_that, refusal, whole_text,
};

/// The report of the last run.
fn report(fixture: &Fixture, format: &str) -> String {
    fixture.stage_value(&format!(
        "select lrs_extract.report(max(run_id), '{format}') from lrs_extract.run"
    ))
}

/// A value of the last run, as one of the views has it; counts as the report writes them.
fn told(fixture: &Fixture, view: &str, expression: &str) -> String {
    fixture.stage_value(&format!(
        "select {expression} from lrs_extract.{view} order by run_id desc limit 1"
    ))
}

fn told_count(fixture: &Fixture, view: &str, column: &str) -> String {
    told(fixture, view, &format!("trim(to_char({column}, '999,999,999,990'))"))
}

/// The page's body, which must be well-formed XML; the page as a whole must need nothing else.
fn read_page(page: &str) -> Document<'_> {
    assert!(page.starts_with("<!DOCTYPE html>"), "{}", &page[..60]);
    for foreign in ["<script", "<link", "<img", "src=", "href=", "url(", "@import", "http:"] {
        assert!(!page.contains(foreign), "{foreign} in the page");
    }
    let (begin, end) = (page.find("<body>").unwrap(), page.rfind("</body>").unwrap());
    Document::parse(&page[begin..end + "</body>".len()]).expect("well-formed")
}

/// All that a reader of the page sees.
fn words(document: &Document<'_>) -> String {
    document.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect()
}

/// The bars of slices that are drawn.
fn slice_bars(document: &Document<'_>) -> usize {
    let is_bar = |n: &Node<'_, '_>| n.attribute("class").is_some_and(|c| c.starts_with("slice "));
    document.descendants().filter(is_bar).count()
}

/// What the page shows under a name, in a tile or a list.
fn shown(document: &Document<'_>, name: &str) -> String {
    let term = document.descendants().find(|n| n.has_tag_name("dt") && n.text() == Some(name));
    let value = term.and_then(|n| n.next_sibling_element()).and_then(|n| n.text());
    value.unwrap_or_else(|| panic!("no {name} on the page")).to_owned()
}

#[test]
fn text_and_page_say_what_the_ledger_has() {
    let fixture = Fixture::with(&Rows::of(6_000).odd_ids_every(500));
    Pull::everything().batch(250).run(&mut fixture.stage());
    let (text, page) = (report(&fixture, "text"), report(&fixture, "html"));
    let document = read_page(&page);
    let said = words(&document);

    assert_eq!(told_count(&fixture, "runs", "rows"), "5,988");
    let slices = told_count(&fixture, "runs", "slices");
    let batches = told_count(&fixture, "batch", "count(*) over ()");
    let done = format!("{slices} of {slices} slices, in {batches} batches");
    let rate = told_count(&fixture, "progress", "round(rows_per_second)");
    let verdict = format!("Verdict: {}. ", told(&fixture, "bottleneck", "verdict"));
    for wanted in ["5,988 rows", "12 rejected", &format!("{rate} rows/s"), &done, &verdict, "22P02"]
    {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        assert!(said.contains(wanted), "{wanted} is not in\n{said}");
    }
    let advice = told(&fixture, "bottleneck", "advice");
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one_line.contains(&advice), "{advice} is not in\n{text}");
    assert!(said.contains(&advice), "{advice} is not in\n{said}");
    let wal = told(&fixture, "runs", "round(wal_bytes / 1048576.0, 1)::text || ' MB'");
    assert!(text.contains(&wal), "{wal} is not in\n{text}");

    assert_eq!(shown(&document, "rows a second"), rate);
    assert_eq!(slice_bars(&document).to_string(), slices);
    assert_eq!(document.descendants().filter(|n| n.has_tag_name("svg")).count(), 4);
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?} columns\n{text}");
}

#[test]
fn hostile_text_stays_text() {
    let bite = r#"</td><script>alert("x")</script>"#;
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new
         values ('2025-04-01', jsonb_build_object('id', $bite${bite}$bite$), 1)"
    ));
    fixture.on_stage(&format!("update lrs_extract.pipeline set name = $bite${bite}$bite$"));
    fixture.on_stage(&format!(
        "select lrs_extract.pull('2025-03-01', '2025-08-01', 50, $bite${bite}$bite$)"
    ));
    let page = report(&fixture, "html");
    let document = read_page(&page);
    let heading = document.descendants().find(|n| n.has_tag_name("h1")).unwrap();
    assert!(heading.text().unwrap().contains(bite), "{heading:?}");
    let example = document.descendants().find(|n| n.text().is_some_and(|t| t.contains("uuid")));
    assert!(example.unwrap().text().unwrap().contains(bite), "{example:?}");
}

#[test]
fn a_run_is_reported_while_it_goes_on_and_after_it_was_stopped() {
    let fixture = Fixture::with(&Rows::of(20_000));
    fixture.slow_target(100);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    let (text, page) = (report(&fixture, "text"), report(&fixture, "html"));
    assert!(text.lines().next().unwrap().ends_with("RUNNING"), "{text}");
    let document = read_page(&page);
    assert!(slice_bars(&document) >= 1);
    // Known while it goes on, too.
    assert!(shown(&document, "checkpoints").contains("requested"), "{}", words(&document));
    assert!(shown(&document, "left, about").contains(' '));

    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    let _ = refusal(running.result());
    let (text, page) = (report(&fixture, "text"), report(&fixture, "html"));
    assert!(text.lines().next().unwrap().ends_with("CANCELLED"), "{text}");
    assert!(words(&read_page(&page)).contains("unfinished"));
}

#[test]
fn a_failed_run_is_reported_with_its_error() {
    let fixture = Fixture::with(&Rows::of(2_000).odd_ids_every(1_999));
    fixture.on_stage("update lrs_extract.pipeline set on_bad_value = 'abort'");
    let _ = refusal(Pull::everything().batch(100).try_run(&mut fixture.stage()));
    let (text, page) = (report(&fixture, "text"), report(&fixture, "html"));
    let said = words(&read_page(&page));
    let (sqlstate, error) = (told(&fixture, "runs", "sqlstate"), told(&fixture, "runs", "error"));
    assert!(text.lines().next().unwrap().ends_with("FAILED"), "{text}");
    assert!(text.contains(&format!("ERROR   {sqlstate}: ")), "{text}");
    assert!(said.contains(&error), "{error} is not in\n{said}");
}

#[test]
fn a_run_that_found_nothing_is_reported() {
    let fixture = Fixture::with(&Rows::of(0));
    Pull::everything().run(&mut fixture.stage());
    let (text, page) = (report(&fixture, "text"), report(&fixture, "html"));
    for said in [text, words(&read_page(&page))] {
        assert!(said.contains("the source had no rows in this period"), "{said}");
        assert!(said.contains("No batch was committed"), "{said}");
    }
}

#[test]
fn a_run_whose_stage_was_killed_is_reported_with_a_rate_of_its_own_time() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(5_000));
    fixture.slow_target(500);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    fixture.await_workers_in_a_flush(2);
    fixture.pair.stage.kill();
    let _ = running.result();
    fixture.pair.stage.start_again();
    let text = report(&fixture, "text");
    assert!(text.lines().next().unwrap().ends_with("INTERRUPTED"), "{text}");
    let sane = "select (rows_per_second between 1 and 100000)::text from lrs_extract.progress";
    assert_eq!(fixture.stage_value(sane), "true", "{text}");
    // Nobody was there to look.
    let checkpoints = text.lines().find(|line| line.contains("checkpoints  ")).unwrap();
    assert!(checkpoints.ends_with("not known"), "{text}");
}

#[test]
fn what_the_stage_did_meanwhile_is_counted() {
    let plan = ServerPlan::of(Version::stage())
        .setting("autovacuum = on")
        .setting("autovacuum_naptime = '1 s'");
    let fixture = Fixture::on(Pair::of(ServerPlan::of(Version::source()), plan), &Rows::of(20_000));
    fixture.on_stage(
        "alter table pipeline.aidt_raw set (
             autovacuum_analyze_threshold = 50, autovacuum_analyze_scale_factor = 0,
             autovacuum_vacuum_insert_threshold = 50, autovacuum_vacuum_insert_scale_factor = 0)",
    );
    let before = fixture.stage_value("select pg_current_wal_insert_lsn()");
    fixture.slow_target(50);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(200));
    fixture.on_stage("checkpoint");
    await_that("the target is vacuumed and analyzed", Duration::from_secs(40), || {
        assert!(!running.has_ended(), "the run ended too soon");
        fixture.stage_value(
            "select (autovacuum_count > 0 and autoanalyze_count > 0)::text
               from pg_stat_all_tables where relid = 'pipeline.aidt_raw'::regclass",
        ) == "true"
    });
    fixture.quick_target();
    running.pulled();
    let counted = told(
        &fixture,
        "runs",
        "concat_ws(' ', checkpoints_timed, checkpoints_requested >= 1, autovacuums >= 1, autoanalyzes >= 1)",
    );
    assert_eq!(counted, "0 t t t");
    // All that the rows take is in the WAL, and the run wrote no more than there is.
    let wal = fixture.stage_value(&format!(
        "select concat_ws(' ', r.wal_bytes > pg_relation_size('pipeline.aidt_raw') * 0.8,
                          r.wal_bytes <= pg_current_wal_insert_lsn() - '{before}'::pg_lsn,
                          b.least > 0)
           from lrs_extract.runs r
          cross join (select min(wal_bytes) as least from lrs_extract.batch) b"
    ));
    assert_eq!(wal, "t t t", "{}", told(&fixture, "runs", "runs::text"));
    let text = report(&fixture, "text");
    assert!(!text.contains("not known"), "{text}");

    // A run in the caller's own transaction counts its own WAL only, and sees what comes later.
    let mut session = fixture.stage();
    session.batch_execute("create table t as select generate_series(1, 200000)").expect("WAL");
    Pull::everything().again().commit("caller").run(&mut session);
    let wal = told(&fixture, "runs", "wal_bytes between 1000000 and 60000000");
    assert_eq!(wal, "true", "{}", told(&fixture, "runs", "runs::text"));
}

#[test]
fn who_may_call_it_needs_no_other_grant() {
    let fixture = Fixture::with(&Rows::of(100));
    fixture.pull_all();
    let role = format!("{}_reader", fixture.db);
    fixture.on_stage(&format!(
        "create role {role} login password 'x'; grant usage on schema lrs_extract to {role}"
    ));
    let report = "select lrs_extract.report(max(n)) from generate_series(1, 1) n";
    let refused = refusal(fixture.stage_as(&role, "x").query(report, &[]));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
    fixture.on_stage(&format!("grant execute on function lrs_extract.report to {role}"));
    let rows = fixture.stage_as(&role, "x").query(report, &[]).expect("the report");
    assert!(rows[0].get::<_, String>(0).contains("100 rows"));
}

#[test]
fn what_cannot_be_reported_is_refused_with_a_hint() {
    let fixture = Fixture::with(&Rows::of(10));
    fixture.pull_all();
    for (arguments, sqlstate, said) in [
        ("4711", "42704", "4711"),
        ("1, 'pdf'", "22023", "pdf"),
        ("1, null", "22004", "format"),
        ("null", "22004", "run_id"),
    ] {
        let sql = format!("select lrs_extract.report({arguments})");
        let refused = refusal(fixture.stage().query(&sql, &[]));
        let words = whole_text(&refused);
        assert_eq!(refused.code().code(), sqlstate, "{arguments}: {words}");
        assert!(refused.hint().is_some() && words.contains(said), "{arguments}: {words}");
    }
}
