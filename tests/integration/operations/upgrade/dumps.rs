//! Dumps of a stage with a ledger of 0.1.0.

use super::super::dump::restored;
use crate::fixture::{Fixture, Pull};

#[test]
fn a_killed_pull_goes_on_after_update_dump_and_restore() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    fixture.update_extension();
    let copy = restored(&fixture);
    assert_eq!(copy.last_run_state(), "interrupted");
    let held = copy.target_rows();
    let pulled = Pull::everything().batch(50).run(&mut copy.stage());
    assert!(pulled.rows > 0);
    assert_eq!(copy.target_rows(), held + pulled.rows);
    let equal = "select bool_and(ok)
                   from lrs_extract.verify('2025-03-01', '2025-08-01', level => 'hash')";
    assert_eq!(copy.stage_value(equal), "true");
}

#[test]
fn a_ledger_of_0_1_0_is_not_restored_in_silence() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    let stage = &fixture.pair.stage;
    let file = stage.home().join(format!("{}.sql", fixture.db));
    let dumped = stage.tool("pg_dump").arg("-f").arg(&file).arg(&fixture.db).output();
    assert!(dumped.expect("pg_dump").status.success());
    let copy = format!("{}_restored", fixture.db);
    fixture.on_stage(&format!("create database {copy}"));
    let restore =
        ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", &copy, "-f"];
    let output = stage.tool("psql").args(restore).arg(&file).output().expect("psql");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("23502") && said.contains("pipeline_id"), "{said}");
}
