use super::*;
use crate::report::{SliceState, sample};

fn sql_of(facts: &Facts) -> Vec<String> {
    Findings::new(facts).next.into_iter().filter_map(|step| step.sql).collect()
}

fn texts(facts: &Facts) -> String {
    let findings = Findings::new(facts);
    let notes = findings.notes.into_iter().map(|note| note.text);
    notes.chain(findings.next.into_iter().map(|step| step.text)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_clean_run_is_good_news_and_is_to_be_verified() {
    let facts = sample::run(200);
    let findings = Findings::new(&facts);
    assert_eq!(findings.tone, Tone::Good);
    assert!(findings.headline.starts_with("Done: 10,0"), "{}", findings.headline);
    assert!(findings.headline.ends_with("none rejected."), "{}", findings.headline);
    assert_eq!(
        sql_of(&facts),
        ["select * from lrs_extract.verify('2025-03-01 00:00+00', '2025-08-01 00:00+00', \
          'aidt');"]
    );
}

#[test]
fn a_failed_run_names_the_call_that_goes_on() {
    let facts = sample::failed(200, 0.4);
    assert_eq!(Findings::new(&facts).tone, Tone::Bad);
    assert_eq!(
        sql_of(&facts)[0],
        "select lrs_extract.pull('2025-03-01 00:00+00', '2025-08-01 00:00+00', 50000, \
         'aidt', jobs => 2);"
    );
}

#[test]
fn a_failed_run_that_pulled_again_is_not_to_be_called_again_blindly() {
    let mut facts = sample::failed(200, 0.4);
    facts.run.again = true;
    assert!(!sql_of(&facts).iter().any(|sql| sql.contains("pull(")));
    assert!(texts(&facts).contains("Delete those rows from the target first."));
}

#[test]
fn a_hostile_pipeline_name_stays_one_literal() {
    let mut facts = sample::failed(200, 0.4);
    facts.run.pipeline = "a'); drop table x; --".into();
    assert!(sql_of(&facts)[0].contains("'a''); drop table x; --'"));
}

#[test]
fn a_growing_insert_leads_to_the_indexes() {
    let texts = texts(&sample::slowing(200));
    assert!(texts.contains("insert grew most"), "{texts}");
    assert!(texts.contains("aidt_raw_id_idx 4.5 GB"), "{texts}");
    assert!(texts.contains("Raise max_wal_size on the stage, so that"), "{texts}");
    assert!(texts.contains("Inserts waited"), "{texts}");
    assert!(texts.contains("3 pages were tried again, in 1 slice; nothing was lost."), "{texts}");
    assert!(texts.contains("153 rows were rejected"), "{texts}");
    assert!(texts.contains("most for id (SQLSTATE 22P02)"), "{texts}");
}

#[test]
fn checkpoints_by_time_are_nobodys_fault() {
    let mut facts = sample::run(200);
    facts.stage.checkpoints_timed = Some(30);
    facts.stage.checkpoints_requested = Some(3);
    assert!(!texts(&facts).contains("max_wal_size"));
}

#[test]
fn a_running_run_that_fell_silent_is_a_warning() {
    let mut facts = sample::running(200, 0.5);
    assert_eq!(Findings::new(&facts).tone, Tone::Plain);
    assert!(Findings::new(&facts).headline.starts_with("50.0 % done after"));
    facts.as_of += chrono::TimeDelta::minutes(30);
    assert_eq!(Findings::new(&facts).tone, Tone::Warning);
    assert!(texts(&facts).contains("No batch was committed for 30 min"));
}

#[test]
fn a_run_that_nobody_closed_ends_with_its_last_sign_of_life() {
    let mut facts = sample::running(200, 0.5);
    let seconds = facts.seconds();
    facts.run.state = RunState::Interrupted;
    facts.as_of += chrono::TimeDelta::days(3);
    assert!(facts.seconds() <= seconds);
    assert!(Findings::new(&facts).headline.starts_with("Interrupted: its processes are gone."));
}

#[test]
fn unfinished_slices_are_looked_at_first() {
    let facts = sample::failed(200, 0.6);
    let slices = slices_to_look_at(&facts);
    assert_eq!(slices[0].state, SliceState::Running);
    assert!(slices.iter().any(|s| s.state == SliceState::Done && s.retries > 0));
}

#[test]
fn workers_without_work_ask_for_narrower_slices() {
    let mut facts = sample::run(2_000);
    assert!(!texts(&facts).contains("not all 2 workers"), "{}", texts(&facts));
    facts.batches.retain(|batch| batch.worker == 1);
    assert!(texts(&facts).contains("not all 2 workers had a slice to pull"));
    let wanted = "update lrs_extract.pipeline\n   set slice_width = interval '5 days'\n where name \
                  = 'aidt';";
    assert!(sql_of(&facts).contains(&wanted.to_owned()), "{:?}", sql_of(&facts));
}

#[test]
fn the_same_warning_of_many_slices_is_said_once() {
    let mut facts = sample::run(200);
    assert_eq!(plan_warnings(&facts).len(), 1);
    assert_eq!(plan_warnings(&facts)[0].slices(), "slices 7, 8, 9");
    facts.slices.iter_mut().for_each(|slice| slice.warning = Some("no index".into()));
    let slices = plan_warnings(&facts)[0].slices();
    assert_eq!(slices, "slices 1, 2, 3, 4, 5, 6, 7, 8 and 8 more");
}

#[test]
fn nothing_pulled_is_said_so() {
    let mut facts = sample::run(4);
    (facts.batches, facts.slices) = (vec![], vec![]);
    (facts.run.rows, facts.run.bytes) = (0, 0);
    let headline = Findings::new(&facts).headline;
    assert!(headline.ends_with("there was nothing to pull."), "{headline}");
}
