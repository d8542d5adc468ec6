//! A repair that is killed, whenever and whoever dies: the same call again ends it, nothing is lost, nothing
//! doubled, and one more finds nothing.

use crate::fixture::{Fixture, Pair, Repair, Rows, Stepwise, await_that, refusal};
use crate::promises::crash_recovery::Victim;
use std::time::Duration;

const CALL: &str = "count(*) from lrs_extract.repair('2025-03-01', '2025-08-01', level => 'hash', surplus => 'delete')";

/// A fixture of which some hundred ranges differ, and whose target takes its time.
fn differing(pair: Pair) -> Fixture {
    let fixture = Fixture::on(pair, &Rows::of(20_000).ties(3).nulls_every(4).odd_ids_every(500));
    fixture.pull_all();
    fixture.on_source(
        "delete from acid.lrs_statement_new where (full_statement ->> 'serial')::int8 % 500 = 7;
         update acid.lrs_statement_new set full_statement = full_statement || '{\"late\": 1}'
          where (full_statement ->> 'serial')::int8 % 500 = 8;
         insert into acid.lrs_statement_new
         select \"timestamp\", acid.statement(1000000 + (full_statement ->> 'serial')::int8, false), actor_id
           from acid.lrs_statement_new where (full_statement ->> 'serial')::int8 % 250 = 9",
    );
    fixture
        .on_stage("delete from pipeline.aidt_raw where (statement ->> 'serial')::int8 % 500 = 10");
    fixture.slow_target(30);
    fixture
}

/// Less with each range that is repaired and committed.
fn ranges_left(fixture: &Fixture) -> i64 {
    let ranges = "select -count(*) from lrs_extract.difference";
    fixture.stage_value(ranges).parse().expect("a count")
}

fn assert_the_same_call_ends_it(fixture: &Fixture) {
    fixture.quick_target();
    let repair = Repair::by_hashes().deleting();
    assert!(repair.run(fixture).ranges > 0, "the blows fell during the repair");
    fixture.assert_all_rows();
    assert_eq!(repair.run(fixture).ranges, 0, "another repair finds nothing");
    fixture.assert_nothing_left_running();
}

/// Rounds of kills: `LRS_EXTRACT_KILLS` kills, for a long test by hand, or one of each.
#[test]
fn a_repair_that_is_killed_goes_on_with_the_same_call() {
    let asked = std::env::var("LRS_EXTRACT_KILLS").ok();
    let kills =
        asked.map_or(3, |kills| kills.parse().expect("LRS_EXTRACT_KILLS is a whole number"));
    let repair =
        Stepwise { fixture: differing(Pair::own()), name: "repair", call: CALL, left: ranges_left };
    for n in 0..kills {
        let victim = Victim::ALL[n % Victim::ALL.len()];
        if n % 30 == 29 {
            // What is left would be repaired before the blow.
            repair.fixture.on_stage(
                "delete from pipeline.aidt_raw where (statement ->> 'serial')::int8 % 100 = 11",
            );
        }
        let running = repair.start_and_await_a_step();
        victim.kill(&repair.fixture, running.leader);
        assert!(running.result().is_err(), "{victim:?} killed: the call should end with an error");
        repair.fixture.assert_nothing_left_running();
    }
    assert_the_same_call_ends_it(&repair.fixture);
}

#[test]
fn a_repair_survives_the_termination_of_its_source_backends() {
    let fixture = differing(Pair::shared());
    let repair = Stepwise { fixture, name: "repair", call: CALL, left: ranges_left };
    let running = repair.start_and_await_a_step();
    for _ in 0..3 {
        let before = ranges_left(&repair.fixture);
        repair.fixture.on_source(
            "select pg_terminate_backend(pid) from pg_stat_activity
              where application_name like 'lrs_extract%' and datname = current_database()",
        );
        await_that("another range is repaired", Duration::from_secs(30), || {
            ranges_left(&repair.fixture) < before
        });
    }
    assert!(running.result().is_ok_and(|ranges| ranges > 10));
    repair.fixture.assert_all_rows();
    assert_eq!(Repair::by_hashes().deleting().run(&repair.fixture).ranges, 0);
}

#[test]
fn a_repair_is_cancelled_and_keeps_a_pull_away() {
    let fixture = differing(Pair::shared());
    let repair = Stepwise { fixture, name: "repair", call: CALL, left: ranges_left };
    let running = repair.start_and_await_a_step();
    let refused = refusal(
        repair.fixture.stage().query("select lrs_extract.pull('2025-03-01', '2025-04-01')", &[]),
    );
    assert_eq!(refused.code().code(), "55006");
    let run_id = repair.fixture.stage_value("select max(run_id) from lrs_extract.run");
    repair.fixture.on_stage(&format!("select lrs_extract.cancel({run_id})"));
    assert_eq!(refusal(running.result()).code().code(), "57014");
    repair.fixture.assert_nothing_left_running();
    assert_eq!(
        repair.fixture.stage_value(
            "select string_agg(kind || ' ' || state, ', ' order by run_id) from lrs_extract.runs"
        ),
        "pull done, repair cancelled"
    );
    assert_the_same_call_ends_it(&repair.fixture);
}
