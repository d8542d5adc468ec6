//! How large the target's heap becomes: the blocks that it is extended by ahead of the rows are used.

use crate::fixture::{Fixture, Pull, Rows};

const ROWS: i64 = 20_000;

impl Fixture {
    fn heap_bytes(&self, table: &str) -> i64 {
        self.stage_value(&format!("select pg_relation_size('{table}')")).parse().expect("a size")
    }

    /// What the target's rows measure where an INSERT alone puts them into a new table.
    fn bytes_of_an_insert(&self) -> i64 {
        self.on_stage(
            "create table pipeline.alone (like pipeline.aidt_raw including all);
             insert into pipeline.alone select * from pipeline.aidt_raw",
        );
        self.heap_bytes("pipeline.alone")
    }
}

#[test]
fn a_heap_is_no_larger_than_an_insert_makes_it() {
    let fixture = Fixture::with(&Rows::of(ROWS));
    fixture.pull_all();
    fixture.assert_all_rows();
    let (ours, alone) = (fixture.heap_bytes("pipeline.aidt_raw"), fixture.bytes_of_an_insert());
    // The pages that the workers end in, and what was wrong in the estimate of the last flush.
    assert!(ours <= alone / 100 * 102 + (1 << 20), "{ours} bytes, {alone} by an INSERT");
}

#[test]
fn many_small_pulls_leave_no_empty_blocks_behind() {
    let fixture = Fixture::with(&Rows::of(ROWS).between("2025-03-01", "2025-03-21"));
    let mut stage = fixture.stage();
    for day in 1..=20 {
        let (from, to) = (format!("2025-03-{day:02}"), format!("2025-03-{:02}", day + 1));
        Pull::period(&from, &to).batch(400).run(&mut stage);
    }
    fixture.assert_all_rows();
    let (ours, alone) = (fixture.heap_bytes("pipeline.aidt_raw"), fixture.bytes_of_an_insert());
    // A flush is more than half a megabyte here.
    assert!(ours <= alone + (1 << 19), "{ours} bytes, {alone} by an INSERT");
}

#[test]
fn room_that_deleted_rows_have_left_is_used_first() {
    let fixture = Fixture::with(&Rows::of(ROWS));
    fixture.pull_all();
    let before = fixture.heap_bytes("pipeline.aidt_raw");
    fixture.on_stage("delete from pipeline.aidt_raw");
    fixture.vacuum_target();
    assert_eq!(fixture.heap_bytes("pipeline.aidt_raw"), before);
    fixture.on_stage("select lrs_extract.forget('2025-03-01', '2025-08-01')");
    fixture.pull_all();
    fixture.assert_all_rows();
    let after = fixture.heap_bytes("pipeline.aidt_raw");
    assert!(after <= before / 100 * 105, "{before} bytes, then {after}");
}

#[test]
fn a_table_whose_rows_go_elsewhere_is_not_extended() {
    let fixture = Fixture::with(&Rows::of(ROWS));
    fixture.on_stage(
        "create table pipeline.elsewhere (like pipeline.aidt_raw including all);
         create function pipeline.route() returns trigger language plpgsql as
             'begin insert into pipeline.elsewhere select new.*; return null; end';
         create trigger route before insert on pipeline.aidt_raw
             for each row execute function pipeline.route()",
    );
    fixture.pull_all();
    assert_eq!(fixture.stage_value("select count(*) from pipeline.elsewhere"), ROWS.to_string());
    assert_eq!(fixture.heap_bytes("pipeline.aidt_raw"), 0);
}

#[test]
fn an_unlogged_table_and_leaves_are_no_larger_than_an_insert_makes_them() {
    for (heaps, tables) in [
        (&["aidt_raw"][..], "create unlogged table pipeline.aidt_raw (like pipeline.kept including all)"),
        (
            &["spring", "summer"],
            "create table pipeline.aidt_raw (like pipeline.kept including all) partition by range (\"timestamp\");
             create table pipeline.spring partition of pipeline.aidt_raw for values from ('2025-03-01') to ('2025-06-01');
             create table pipeline.summer partition of pipeline.aidt_raw for values from ('2025-06-01') to ('2025-09-01')",
        ),
    ] {
        let fixture = Fixture::with(&Rows::of(ROWS));
        fixture.on_stage(&format!("alter table pipeline.aidt_raw rename to kept; {tables}"));
        fixture.pull_all();
        fixture.assert_all_rows();
        let size = |heap: &&str| fixture.heap_bytes(&format!("pipeline.{heap}"));
        let (ours, alone): (i64, i64) = (heaps.iter().map(size).sum(), fixture.bytes_of_an_insert());
        assert!(ours <= alone / 100 * 102 + (1 << 20), "{heaps:?}: {ours} bytes, {alone} by an INSERT");
    }
}
