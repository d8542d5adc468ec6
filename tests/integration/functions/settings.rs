//! The settings `lrs_extract.*`: a name that is none of them does not pass in silence.

use postgres::Client;

use crate::fixture::{Fixture, Notices, Rows, Version, refusal, whole_text};

fn plan(stage: &mut Client) {
    let call = "select * from lrs_extract.plan('2025-03-01', '2025-08-01')";
    stage.query(call, &[]).expect("a plan");
}

fn assert_warned(notices: &Notices, name: &str) {
    let heard = notices.all();
    assert!(heard.iter().any(|n| n.starts_with("WARNING") && n.contains(name)), "{heard:?}");
}

#[test]
fn a_mistyped_setting_from_before_the_library_was_loaded_is_warned_of() {
    let fixture = Fixture::with(&Rows::of(10));
    let (mut stage, notices) = fixture.stage_with_notices();
    stage
        .batch_execute("set lrs_extract.worker_memroy = '32MB'")
        .expect("the server knows no better");
    plan(&mut stage);
    assert_warned(&notices, "lrs_extract.worker_memroy");
}

#[test]
fn a_mistyped_setting_in_a_session_that_has_called_is_refused_or_warned_of() {
    let fixture = Fixture::with(&Rows::of(10));
    let (mut stage, notices) = fixture.stage_with_notices();
    plan(&mut stage);
    let set = stage.batch_execute("set lrs_extract.fast_josnb = off");
    if Version::stage().major() >= 15 {
        let refused = refusal(set);
        assert!(refused.message().contains("lrs_extract.fast_josnb"), "{}", whole_text(&refused));
    } else {
        set.expect("the server knows no better before 15");
        plan(&mut stage);
        assert_warned(&notices, "lrs_extract.fast_josnb");
    }
}

#[test]
fn the_settings_that_there_are_raise_no_warning() {
    let fixture = Fixture::with(&Rows::of(10));
    let (mut stage, notices) = fixture.stage_with_notices();
    stage
        .batch_execute(
            "set lrs_extract.worker_memory = '32MB';
             set lrs_extract.transform_threads = 1;
             set lrs_extract.fast_jsonb = off",
        )
        .expect("settings of the extension");
    plan(&mut stage);
    assert_eq!(notices.all(), Vec::<String>::new());
}
