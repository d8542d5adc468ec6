//! The first connection to a source: who looks on sees at once what is wrong, a run waits for what may
//! pass, and can be seen and stopped meanwhile.

use std::net::TcpListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fixture::{
    Fixture, Notices, Pull, Rows, Running, await_some, await_that, refusal, whole_text,
};

/// Where nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A fixture whose server leads to that port, with the retries that are shipped.
fn leading_to(port: u16) -> Fixture {
    let fixture = Fixture::with(&Rows::of(200));
    fixture.on_stage(&format!(
        "alter server lrs_source options
             (set host '127.0.0.1', set port '{port}', add connect_timeout '1')"
    ));
    fixture
}

fn right_way(fixture: &Fixture) -> String {
    format!(
        "alter server lrs_source options (set host '{}', set port '{}')",
        fixture.pair.source.home().display(),
        fixture.pair.source.port()
    )
}

const PLAN: &str = "select * from lrs_extract.plan('2025-03-01', '2025-08-01')";
const VERIFY: &str = "select * from lrs_extract.verify('2025-03-01', '2025-08-01')";

/// `sql` is refused within a few seconds, with a hint that names the option.
fn assert_fails_at_once(fixture: &Fixture, sql: &str) {
    let begun = Instant::now();
    let refused = refusal(fixture.stage().query(sql, &[]));
    let words = whole_text(&refused);
    assert!(begun.elapsed() < Duration::from_secs(4), "after {:?}: {words}", begun.elapsed());
    assert_eq!(refused.code().code(), "08006", "{words}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("port")), "{words}");
}

#[test]
fn a_wrong_port_fails_plan_and_verify_at_the_first_try() {
    let fixture = leading_to(closed_port());
    assert_fails_at_once(&fixture, PLAN);
    assert_fails_at_once(&fixture, VERIFY);
}

#[test]
fn a_source_that_says_nothing_fails_every_call_within_connect_timeout() {
    let silence = TcpListener::bind("127.0.0.1:0").expect("a port");
    let fixture = leading_to(silence.local_addr().expect("its address").port());
    for sslmode in ["disable", "prefer"] {
        fixture.on_stage(&format!("alter server lrs_source options (set sslmode '{sslmode}')"));
        assert_fails_at_once(&fixture, PLAN);
        assert_fails_at_once(&fixture, VERIFY);
        let pull = Pull::everything().call();
        assert_fails_at_once(&fixture, &format!("select * from {pull}"));
    }
}

#[test]
fn a_host_that_is_not_known_fails_a_pull_at_the_first_try() {
    let fixture = leading_to(closed_port());
    fixture.on_stage("alter server lrs_source options (set host 'nowhere.invalid')");
    let begun = Instant::now();
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    let words = whole_text(&refused);
    assert!(begun.elapsed() < Duration::from_secs(4), "after {:?}: {words}", begun.elapsed());
    assert!(words.contains("nowhere.invalid"), "{words}");
}

/// The number of the run that a pull shows which has no connection yet.
fn shown_run(fixture: &Fixture) -> String {
    await_some("the run is seen", Duration::from_secs(5), || {
        let run = fixture.stage_value(
            "select r.run_id from lrs_extract.runs r join lrs_extract.progress p using (run_id)
             where r.state = 'running' and p.state = 'running' and p.workers is not null
               and r.slices = 0 and r.\"from\" = '2025-03-01' and r.caller = current_user",
        );
        (!run.is_empty()).then_some(run)
    })
}

#[test]
fn a_run_without_a_connection_is_seen_and_can_be_cancelled() {
    let fixture = leading_to(closed_port());
    let running = fixture.start(&Pull::everything());
    let run = shown_run(&fixture);
    assert_eq!(fixture.stage_value(&format!("select lrs_extract.cancel({run})")), "true");
    assert_eq!(refusal(running.result()).code().code(), "57014");
    fixture.assert_nothing_left_running();
    assert_eq!(fixture.last_run_state(), "cancelled");
}

#[test]
fn a_run_without_a_connection_has_a_report_whatever_its_period() {
    for (from, to) in
        [("-infinity", "infinity"), ("-infinity", "2025-08-01"), ("2100-01-01", "infinity")]
    {
        let fixture = leading_to(closed_port());
        let running = fixture.start(&Pull::period(from, to));
        let run = await_some("the run is seen", Duration::from_secs(5), || {
            let run = fixture.stage_value(
                "select run_id from lrs_extract.runs where state = 'running' and isfinite(\"from\")
                    and isfinite(\"to\") and \"from\" <= \"to\"",
            );
            (!run.is_empty()).then_some(run)
        });
        let report = fixture.stage_value(&format!("select lrs_extract.report({run})"));
        assert!(report.contains(&run), "{report}");
        assert_eq!(fixture.stage_value(&format!("select lrs_extract.cancel({run})")), "true");
        assert!(running.result().is_err());
    }
}

#[test]
fn a_run_without_a_connection_that_gives_up_is_recorded_with_the_reason() {
    let fixture = leading_to(closed_port());
    fixture.on_stage("update lrs_extract.pipeline set retries = 1, retry_delay = '2 s'");
    let running = fixture.start(&Pull::everything());
    shown_run(&fixture);
    let refused = refusal(running.result());
    assert_eq!(refused.code().code(), "08006", "{}", whole_text(&refused));
    assert_eq!(fixture.last_run_state(), "failed");
    let recorded = fixture.stage_value("select error from lrs_extract.runs where run_id = (select max(run_id) from lrs_extract.runs)");
    assert_eq!(recorded, refused.message());
    fixture.assert_nothing_left_running();
}

#[test]
fn options_that_are_corrected_while_a_run_waits_are_taken_up() {
    let fixture = leading_to(closed_port());
    let mut config = fixture.pair.stage.address(&fixture.db);
    config.user("postgres");
    let (session, notices) = Notices::heard_by(&config);
    let running = Running::by(session, &Pull::everything());
    let run = shown_run(&fixture);
    fixture.on_stage(&right_way(&fixture));
    assert_eq!(running.pulled().rows, 200);
    fixture.assert_all_rows();
    let first = notices.all().into_iter().find(|notice| notice.contains("trying again"));
    let first = first.expect("a notice");
    assert!(first.contains("set port"), "the hint in {first}");
    // The run that was shown is the one that pulled.
    assert_eq!(
        fixture.stage_value(&format!(
            "select state || ' ' || rows || ' ' || (slices > 0) from lrs_extract.runs where run_id = {run}"
        )),
        "done 200 true"
    );
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.run"), "1");
}

#[test]
fn a_run_that_finds_nothing_to_do_after_a_wait_is_done() {
    let fixture = Fixture::with(&Rows::of(50));
    fixture.pull_all();
    fixture.turn_the_reader_away();
    let running = fixture.start(&Pull::everything());
    fixture.let_the_reader_in_after_a_refusal();
    assert_eq!(running.pulled().rows, 0);
    assert_eq!(fixture.last_run_state(), "done");
    fixture.assert_nothing_left_running();
}

#[test]
fn the_first_connection_of_a_caller_who_is_no_superuser_is_tried_again() {
    let fixture = leading_to(closed_port());
    let (_, session) = fixture.analyst("insert");
    let running = Running::by(session, &Pull::everything());
    sleep(Duration::from_millis(700));
    fixture.on_stage(&right_way(&fixture));
    assert_eq!(running.pulled().rows, 200);
    fixture.assert_all_rows();
}

/// A run in a pause, by a role of the source that the fixture has for itself.
fn paused_run(fixture: &Fixture, session: postgres::Client, mapping_of: &str) -> Running {
    let guest = format!("{}_guest", fixture.db);
    fixture
        .on_source(&format!("create role {guest} login password 'correct horse' in role reader"));
    fixture.on_stage(&format!(
        "alter user mapping for {mapping_of} server lrs_source options (set user '{guest}');
         update lrs_extract.pipeline set pause_while = 'select true'"
    ));
    let running = Running::by(session, &Pull::everything().jobs(1));
    await_that("the worker pauses", Duration::from_secs(20), || {
        fixture.stage_value("select count(*) from lrs_extract.workers where doing like 'paused%'")
            == "1"
    });
    running
}

/// Changes the password on the source, and ends what was connected with the old one.
fn rotate(fixture: &Fixture, password: &str) {
    let guest = format!("{}_guest", fixture.db);
    fixture.on_source(&format!("alter role {guest} password '{password}'"));
    fixture.on_stage("update lrs_extract.pipeline set pause_while = null");
    fixture.on_source(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{guest}'"
    ));
}

#[test]
fn a_password_that_is_changed_in_the_middle_of_a_run_is_read_again() {
    let fixture = Fixture::with(&Rows::of(300));
    for superuser in [true, false] {
        let (who, session) = match superuser {
            true => ("current_user".to_owned(), fixture.stage()),
            false => fixture.analyst("insert"),
        };
        let fixture = &fixture;
        let running = match superuser {
            true => paused_run(fixture, session, &who),
            false => {
                fixture.on_source(&format!("drop role {}_guest", fixture.db));
                fixture.on_stage(
                    "truncate pipeline.aidt_raw;
                     select lrs_extract.forget('-infinity', 'infinity')",
                );
                paused_run(fixture, session, &who)
            }
        };
        rotate(fixture, "battery staple");
        // First the one place, then the other.
        await_that("the old password is refused", Duration::from_secs(20), || {
            fixture
                .stage_value("select coalesce(max(last_error), '') from lrs_extract.slice")
                .contains("password authentication failed")
        });
        fixture.on_stage(&format!(
            "alter user mapping for {who} server lrs_source options (set password 'battery staple')"
        ));
        assert_eq!(running.pulled().rows, 300);
        fixture.assert_all_rows();
    }
}

#[test]
fn a_password_that_was_never_right_is_refused_at_once() {
    let fixture = Fixture::with(&Rows::of(10));
    fixture.on_stage(
        "alter user mapping for current_user server lrs_source options (set password 'wrong')",
    );
    let begun = Instant::now();
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "28P01", "{}", whole_text(&refused));
    assert!(begun.elapsed() < Duration::from_secs(4), "after {:?}", begun.elapsed());
}

#[test]
fn a_server_that_leads_elsewhere_in_the_middle_of_a_run_ends_it() {
    let fixture = Fixture::with(&Rows::of(300));
    // There, too, is a table of that name, with the same rows.
    let elsewhere = format!("{}_elsewhere", fixture.db);
    let copy = format!("create database {elsewhere} template {}", fixture.db);
    fixture.pair.source.connect("postgres").batch_execute(&copy).expect("another place");
    let running = paused_run(&fixture, fixture.stage(), "current_user");
    fixture.on_stage(&format!("alter server lrs_source options (set dbname '{elsewhere}')"));
    rotate(&fixture, "correct horse");
    let refused = refusal(running.result());
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), "55000", "{words}");
    assert!(refused.message().contains("was altered while it was being pulled from"), "{words}");
    assert!(refused.detail().is_some_and(|detail| detail.contains(&elsewhere)), "{words}");
    assert_eq!(fixture.target_rows(), 0);
    fixture.assert_nothing_left_running();
}
