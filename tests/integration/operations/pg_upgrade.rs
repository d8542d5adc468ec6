//! `pg_upgrade` of a stage, to the same version.

use std::sync::Arc;

use crate::fixture::{Fixture, Pair, Pull, Rows, ServerPlan, Version};

#[test]
fn a_pull_that_was_killed_goes_on_after_pg_upgrade() {
    let old = Version::stage();
    let pair = Pair::of(ServerPlan::of(Version::source()), ServerPlan::of(old));
    let fixture = Fixture::on(pair, &Rows::of(3_000).nulls_every(7).odd_ids_every(500));
    fixture.slow_target(200);
    let running = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    fixture.pair.stage.kill();
    assert!(running.result().is_err(), "the server was killed");
    fixture.pair.stage.start_again();
    fixture.quick_target();
    let held = fixture.target_rows();
    assert!(held > 0 && held < 3_000, "{held} rows");

    let stage = Arc::new(fixture.pair.stage.upgraded_to(Version::stage()));
    let pair = Pair { source: fixture.pair.source.clone(), stage };
    let upgraded = Fixture { pair, db: fixture.db.clone() };
    assert_eq!(upgraded.last_run_state(), "interrupted");
    assert_eq!(upgraded.target_rows(), held);
    let pulled = Pull::everything().batch(100).run(&mut upgraded.stage());
    assert!(pulled.rows < 3_000, "{pulled:?}");
    upgraded.assert_all_rows();
}
