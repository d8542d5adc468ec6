//! `alter extension lrs_extract update` from 0.1.0.

mod catalog;
mod dumps;
mod objects_of_others;

use crate::fixture::{Fixture, Pull, refusal, whole_text};

#[test]
fn a_pull_that_was_killed_under_0_1_0_goes_on_after_the_update() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    fixture.update_extension();
    assert_eq!(fixture.last_run_state(), "interrupted");
    let held = fixture.target_rows();
    let rejected = fixture.stage_value("select count(*) from lrs_extract.reject");
    let pulled = Pull::everything().batch(50).run(&mut fixture.stage());
    let expected = 2_000 - held - rejected.parse::<i64>().expect("a count");
    assert_eq!(pulled.rows + pulled.rejected, expected, "what was there does not come again");
    fixture.assert_all_rows();
    let states = "select string_agg(state, ' ' order by run_id) from lrs_extract.run";
    assert_eq!(fixture.stage_value(states), "done done done interrupted done");
}

#[test]
fn the_plan_knows_what_0_1_0_pulled_and_what_was_forgotten() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    fixture.update_extension();
    let states = |period: &str, pipeline: &str| {
        fixture.stage_value(&format!(
            "select string_agg(distinct state, ' ' order by state)
               from lrs_extract.plan({period}, '{pipeline}')"
        ))
    };
    assert_eq!(states("'2025-03-01', '2025-03-10'", "aidt"), "done");
    assert_eq!(states("'2025-03-10', '2025-03-12'", "aidt"), "todo");
    assert_eq!(states("'2025-03-12', '2025-04-21'", "aidt"), "done");
    assert_eq!(states("'2025-05-01', '2025-05-03'", "mine"), "done");
    assert_eq!(states("'2025-05-01', '2025-05-03'", "aidt"), "todo");
}

#[test]
fn rejects_of_0_1_0_are_replayed_after_the_update() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    fixture.update_extension();
    let rejects = fixture.stage_value("select count(*) from lrs_extract.reject");
    fixture.on_stage("update lrs_extract.pipeline set on_bad_value = 'null' where name = 'aidt'");
    let replayed = fixture.stage_value("lrs_extract.replay('2025-03-01', '2025-08-01')");
    assert_eq!(replayed, rejects);
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.reject"), "0");
}

#[test]
fn settings_of_pipelines_survive_the_update() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    let settings = "select string_agg(concat_ws(' ', name, server, source_table, target_table, mapping, slice_width,
                        on_bad_value, settle, retries, retry_delay, max_bytes_per_second), E'\\n' order by name)
                      from lrs_extract.pipeline";
    let before = fixture.stage_value(settings);
    fixture.update_extension();
    assert_eq!(fixture.stage_value(settings), before);
}

#[test]
fn a_deleted_pipeline_of_0_1_0_is_still_known_as_one() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    fixture.update_extension();
    let without_id =
        "select count(*) from lrs_extract.run r join lrs_extract.slice s using (run_id)
                       where r.pipeline_id is null or s.pipeline_id is distinct from r.pipeline_id";
    assert_eq!(fixture.stage_value(without_id), "0");
    let pipelines = "select count(distinct pipeline_id) from lrs_extract.run";
    assert_eq!(fixture.stage_value(pipelines), "3");
    // Its rows are nobody's to delete.
    fixture.on_stage(
        "update lrs_extract.pipeline set target_table = 'pipeline.mine_raw' where name = 'aidt'",
    );
    let repair = "select from lrs_extract.repair('2025-07-30', '2025-07-31', surplus => 'delete')";
    fixture.on_stage("select lrs_extract.forget('2025-03-01', '2025-08-01')");
    fixture.on_stage("select from lrs_extract.pull('2025-07-30', '2025-07-31')");
    let refused = refusal(fixture.stage().batch_execute(repair));
    assert!(whole_text(&refused).contains("\"gone\""), "{}", whole_text(&refused));
}

#[test]
fn rows_read_by_0_1_0_do_not_look_taken_away() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    fixture.update_extension();
    let odd = "select count(*) from lrs_extract.runs where rows_read <> rows + rejected + skipped";
    assert_eq!(fixture.stage_value(odd), "0");
    let odd = "select count(*) from lrs_extract.batch where rows_read <> rows + rejected + skipped";
    assert_eq!(fixture.stage_value(odd), "0");
    let advice = "select string_agg(advice, ' ') from lrs_extract.bottleneck";
    assert!(!fixture.stage_value(advice).contains("away"), "{}", fixture.stage_value(advice));
    let report = fixture.stage_value("lrs_extract.report(4)");
    assert!(report.contains("Interrupted"), "{report}");
}

#[test]
fn an_update_beside_a_call_is_refused() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    let mut call = fixture.stage();
    for class in ["lrs ", "lrsw"] {
        let class = i32::from_be_bytes(class.as_bytes().try_into().expect("four letters"));
        let lock = format!("select pg_advisory_lock({class}, hashtext('mine'))");
        call.batch_execute(&lock).expect("the lock of a call");
        let update = fixture.stage().batch_execute("alter extension lrs_extract update");
        let refused = refusal(update);
        assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
        assert!(refused.hint().is_some_and(|hint| hint.contains("cancel(")), "{refused:?}");
        call.batch_execute("select pg_advisory_unlock_all()").expect("the end of the call");
    }
    fixture.update_extension();
}

#[test]
fn the_shipped_pipeline_gives_way_to_a_restored_one_only_as_it_was_shipped() {
    let insert = "insert into lrs_extract.pipeline (name, mapping, retries)
                  select name, mapping, 3 from lrs_extract.pipeline";
    let Some(fixture) = Fixture::of_0_1_0(&crate::fixture::Rows::of(0)) else { return };
    fixture.update_extension();
    fixture.on_stage(insert);
    assert_eq!(fixture.stage_value("select retries from lrs_extract.pipeline"), "3");

    let Some(fixture) = Fixture::of_0_1_0(&crate::fixture::Rows::of(0)) else { return };
    fixture.on_stage("update lrs_extract.pipeline set settle = '6 minutes'");
    fixture.update_extension();
    let refused = refusal(fixture.stage().batch_execute(insert));
    assert_eq!(refused.code().code(), "23505", "a changed one is kept");
}
