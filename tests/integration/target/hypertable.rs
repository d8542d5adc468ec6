//! Hypertables of TimescaleDB, compressed chunks too. Where the PostgreSQL under test has no TimescaleDB, these
//! tests say so and prove nothing.

use std::sync::{Arc, OnceLock};

use crate::fixture::{
    EVERYTHING, Fixture, Pair, Pull, Repair, Rows, Server, ServerPlan, Version, dedup, refusal,
    skip, whole_text,
};

const ROWS: i64 = 3_000;

/// The stage that all of these tests share.
fn stage() -> Arc<Server> {
    static STAGE: OnceLock<Arc<Server>> = OnceLock::new();
    let start = || {
        let plan = ServerPlan::of(Version::stage())
            .setting("shared_preload_libraries = 'timescaledb'")
            .setting("timescaledb.telemetry_level = off");
        let server = plan.start();
        // TimescaleDB looks into each database for a moment: no copy can be made of it then.
        server
            .connect("postgres")
            .batch_execute("alter database template1 allow_connections false")
            .expect("a database to copy");
        Arc::new(server)
    };
    STAGE.get_or_init(start).clone()
}

/// A fixture whose target has a chunk a week, or `None` and a word about it where there is no TimescaleDB.
fn fixture() -> Option<Fixture> {
    if !Version::stage().offers("timescaledb") {
        skip("this PostgreSQL has no TimescaleDB");
        return None;
    }
    let rows = Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(5).odd_ids_every(100);
    let fixture = Fixture::on(Pair { stage: stage(), ..Pair::shared() }, &rows);
    fixture.on_stage("create extension timescaledb");
    fixture.on_stage(
        "select create_hypertable('pipeline.aidt_raw', 'timestamp', chunk_time_interval => interval '7 days')",
    );
    Some(fixture)
}

fn chunks(fixture: &Fixture) -> i64 {
    let count = fixture.stage_value("select count(*) from show_chunks('pipeline.aidt_raw')");
    count.parse().expect("a count")
}

#[test]
fn chunks_take_each_row_once_whatever_the_boundary() {
    for boundary in ["batch", "slice", "caller"] {
        let Some(fixture) = fixture() else { return };
        let pulled = Pull::everything().batch(300).commit(boundary).run(&mut fixture.stage());
        assert_eq!(pulled.rows + pulled.rejected, ROWS, "{boundary}");
        fixture.assert_all_rows();
        assert!(chunks(&fixture) > 20, "{} chunks", chunks(&fixture));
        fixture.assert_verified();
        let blamed = "select count(*) from lrs_extract.bottleneck where advice ~* 'trigger'";
        assert_eq!(fixture.stage_value(blamed), "0");
    }
}

#[test]
fn chunks_are_deduplicated_and_repaired() {
    let Some(fixture) = fixture() else { return };
    let rows = fixture.pull_all().rows;
    Pull::everything().again().run(&mut fixture.stage());
    assert_eq!(dedup(&mut fixture.stage()), rows);
    fixture.on_stage(
        "delete from pipeline.aidt_raw where (\"statement\" ->> 'serial')::int8 % 10 = 1",
    );
    let gone = rows - fixture.target_rows();
    assert!(gone > ROWS / 20, "{gone} rows gone");
    assert_eq!(Repair::by_hashes().run(&fixture).pulled, gone);
    fixture.assert_verified();
    assert_eq!(Repair::by_hashes().deleting().run(&fixture).ranges, 0);
}

#[test]
fn compressed_chunks_take_rows_and_lose_none_by_their_places() {
    let Some(fixture) = fixture() else { return };
    let first = Pull::period("2025-03-01", "2025-06-01").run(&mut fixture.stage());
    fixture.on_stage("alter table pipeline.aidt_raw set (timescaledb.compress)");
    fixture.on_stage("select compress_chunk(c) from show_chunks('pipeline.aidt_raw') c");
    // May's last chunk reaches into June, and takes rows compressed as it is.
    let rest = Pull::everything().batch(300).run(&mut fixture.stage());
    assert_eq!(first.rows + first.rejected + rest.rows + rest.rejected, ROWS);
    fixture.assert_all_rows();
    fixture.assert_verified();
    let dedup = format!("select lrs_extract.dedup({EVERYTHING})");
    let repair = format!("select * from {}", Repair::by_hashes().deleting().call());
    for call in [dedup, repair] {
        let refused = refusal(fixture.stage().batch_execute(&call));
        assert_eq!(refused.code().code(), "0A000", "{}", whole_text(&refused));
        assert!(refused.message().contains("compressed"), "{}", whole_text(&refused));
        assert!(refused.hint().is_some(), "{refused:?}");
    }
    fixture.assert_all_rows();
}
