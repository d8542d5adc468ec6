//! A repair that reads a hot standby: what it has not replayed yet is not taken for deleted.

use super::standby::{fixture_before_its_standby, insert_fresh, pause, resume};
use crate::fixture::{Repair, refusal, whole_text};

#[test]
fn a_standby_that_lacks_what_was_pulled_from_its_primary_deletes_nothing() {
    let fixture = fixture_before_its_standby();
    let standby = fixture.pair.source.standby("");
    let march = "insert into acid.lrs_statement_new
                 select '2025-03-03 03:03+00', acid.statement(nextval('acid.serial'), false), n from generate_series(1, 30) n";
    fixture.on_source(march);
    standby.await_replay_of(&fixture.pair.source);
    pause(&standby);
    fixture.on_source(march);
    fixture.pull_all();
    assert_eq!(fixture.target_rows(), 60);
    fixture.read_from(&standby);
    let repair = Repair::by_counts().deleting();
    let refused = refusal(repair.try_run(&mut fixture.stage()));
    let words = whole_text(&refused);
    assert_eq!(refused.code().code(), "55000", "{words}");
    assert!(words.contains("standby"), "{words}");
    // To look is allowed.
    assert_eq!(Repair::by_counts().run(&fixture).surplus, 30);
    resume(&standby);
    // Its clock goes on with a commit.
    insert_fresh(&fixture, 1);
    standby.await_replay_of(&fixture.pair.source);
    assert_eq!(repair.run(&fixture).ranges, 0);
    assert_eq!(fixture.target_rows(), 60);
}
