//! Repair as a property: whatever was inserted late, deleted, changed or doubled on either side, a repair makes
//! both sides equal; what it may not delete, it leaves.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::fixture::{Fixture, Repair, Rows};

const CASES: u32 = 30;

/// The rows lie in these twelve days, across the end of a month.
const FIRST_DAY: &str = "2025-03-25";
const LAST_DAY: &str = "2025-04-06";

/// What happens to one side after the pull. A number chooses the statements, by their serial.
#[derive(Clone, Debug)]
enum Change {
    /// New statements at times at which there are none, some of them at the same.
    Late {
        rows: i64,
    },
    /// New statements under the keys of others.
    LateUnderOldKeys {
        every: i64,
    },
    DeletedOnSource {
        every: i64,
    },
    ChangedOnSource {
        every: i64,
    },
    DoubledOnSource {
        every: i64,
    },
    DeletedOnStage {
        every: i64,
    },
    ChangedOnStage {
        every: i64,
    },
    DoubledOnStage {
        every: i64,
    },
    /// Rows of another writer.
    WrittenOnStage {
        rows: i64,
    },
}

impl Change {
    fn apply(&self, fixture: &Fixture, n: usize) {
        let source = |sql: String| fixture.on_source(&sql);
        let stage = |sql: String| fixture.on_stage(&sql);
        let chosen =
            |every: i64| format!("(full_statement ->> 'serial')::int8 % {every} = {n} % {every}");
        let on_stage =
            |every: i64| format!("(statement ->> 'serial')::int8 % {every} = {n} % {every}");
        let serial = 1_000_000 * (n as i64 + 1);
        match *self {
            Change::Late { rows } => source(format!(
                "insert into acid.lrs_statement_new
                 select '{FIRST_DAY} 00:00:00.5+00'::timestamptz + (s / 2 * 7919 % 17279) * interval '1 minute',
                        acid.statement({serial} + s, s % 9 = 0), nullif(s % 3, 0)
                   from generate_series(1, {rows}) s"
            )),
            Change::LateUnderOldKeys { every } => source(format!(
                "insert into acid.lrs_statement_new
                 select \"timestamp\", acid.statement({serial} + (full_statement ->> 'serial')::int8, false), actor_id
                   from acid.lrs_statement_new where {}",
                chosen(every)
            )),
            Change::DeletedOnSource { every } => {
                source(format!("delete from acid.lrs_statement_new where {}", chosen(every)));
            }
            Change::ChangedOnSource { every } => source(format!(
                "update acid.lrs_statement_new
                    set full_statement = full_statement || '{{\"changed\": {n}}}' where {}",
                chosen(every)
            )),
            Change::DoubledOnSource { every } => source(format!(
                "insert into acid.lrs_statement_new
                 select * from acid.lrs_statement_new where {}",
                chosen(every)
            )),
            Change::DeletedOnStage { every } => {
                stage(format!("delete from pipeline.aidt_raw where {}", on_stage(every)));
            }
            Change::ChangedOnStage { every } => stage(format!(
                "update pipeline.aidt_raw set statement = statement || '{{\"by hand\": {n}}}' where {}",
                on_stage(every)
            )),
            Change::DoubledOnStage { every } => stage(format!(
                "insert into pipeline.aidt_raw select * from pipeline.aidt_raw where {}",
                on_stage(every)
            )),
            Change::WrittenOnStage { rows } => stage(format!(
                "insert into pipeline.aidt_raw (statement, \"timestamp\")
                 select jsonb_build_object('id', s, 'serial', 0), '{FIRST_DAY} 00:00:01+00'::timestamptz + s * interval '97 minutes'
                   from generate_series(1, {rows}) s"
            )),
        }
    }

    /// Late statements, and what a count shows beside them: one kind of change alone, because what came and
    /// what went under one key are as many as before.
    fn seen_by_counts() -> impl Strategy<Value = Vec<Change>> {
        let late = (1_i64..40).prop_map(|rows| Change::Late { rows });
        let other = prop_oneof![
            (2_i64..40).prop_map(|every| Change::LateUnderOldKeys { every }),
            (2_i64..40).prop_map(|every| Change::DeletedOnSource { every }),
            (2_i64..40).prop_map(|every| Change::DoubledOnSource { every }),
            (2_i64..40).prop_map(|every| Change::DeletedOnStage { every }),
            (2_i64..40).prop_map(|every| Change::DoubledOnStage { every }),
            (1_i64..20).prop_map(|rows| Change::WrittenOnStage { rows }),
        ];
        (late, other).prop_map(|(late, other)| vec![other, late])
    }

    fn any() -> impl Strategy<Value = Change> {
        prop_oneof![
            (1_i64..40).prop_map(|rows| Change::Late { rows }),
            (2_i64..40).prop_map(|every| Change::LateUnderOldKeys { every }),
            (2_i64..40).prop_map(|every| Change::DeletedOnSource { every }),
            (2_i64..40).prop_map(|every| Change::ChangedOnSource { every }),
            (2_i64..40).prop_map(|every| Change::DoubledOnSource { every }),
            (2_i64..40).prop_map(|every| Change::DeletedOnStage { every }),
            (2_i64..40).prop_map(|every| Change::ChangedOnStage { every }),
            (2_i64..40).prop_map(|every| Change::DoubledOnStage { every }),
            (1_i64..20).prop_map(|rows| Change::WrittenOnStage { rows }),
        ]
    }
}

#[derive(Clone, Debug)]
struct Case {
    rows: Rows,
    changes: Vec<Change>,
    by_counts: bool,
    deleting: bool,
    /// Of the target, on the time of its rows.
    index: bool,
    slice_hours: i32,
}

fn cases() -> impl Strategy<Value = Case> {
    let rows = (0_i64..500, 1_i64..60, 1_i64..6, 0_i64..4, 0_i64..12).prop_map(
        |(count, ties, actors, nulls, odd)| {
            let rows = Rows::of(count).odd_ids_every(odd);
            rows.ties(ties).actors_per_tie(actors).nulls_every(nulls).between(FIRST_DAY, LAST_DAY)
        },
    );
    let by_hashes = prop::collection::vec(Change::any(), 0..5);
    let changes = prop_oneof![
        1 => Change::seen_by_counts().prop_map(|changes| (true, changes)),
        2 => by_hashes.prop_map(|changes| (false, changes)),
    ];
    (rows, changes, any::<bool>(), any::<bool>(), 6_i32..400).prop_map(
        |(rows, (by_counts, changes), deleting, index, slice_hours)| Case {
            rows,
            changes,
            by_counts,
            deleting,
            index,
            slice_hours,
        },
    )
}

#[test]
fn a_repair_makes_both_sides_equal_whatever_has_happened() {
    let fixture = Fixture::with(&Rows::of(0));
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&cases(), |case| {
        pull_change_and_repair(&fixture, &case);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn pull_change_and_repair(fixture: &Fixture, case: &Case) {
    fixture.on_source("truncate acid.lrs_statement_new");
    case.rows.fill(&mut fixture.source());
    let index = match case.index {
        true => "create index at on pipeline.aidt_raw (\"timestamp\")",
        false => "select",
    };
    fixture.on_stage(&format!(
        "truncate pipeline.aidt_raw; drop index if exists pipeline.at; {index};
         select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt');
         update lrs_extract.pipeline set slice_width = interval '{} hours'",
        case.slice_hours
    ));
    fixture.pull_all();
    for (n, change) in case.changes.iter().enumerate() {
        change.apply(fixture, n);
    }
    let repair = if case.by_counts { Repair::by_counts() } else { Repair::by_hashes() };
    let repair = if case.deleting { repair.deleting() } else { repair };
    let told = repair.clone().dry().run(fixture);
    let repaired = repair.run(fixture);
    assert_eq!((told.missing, told.surplus), (repaired.missing, repaired.surplus));
    assert_eq!(repaired.pulled, repaired.missing, "{repaired:?}");
    if case.deleting {
        assert_eq!(repaired.deleted, repaired.surplus, "{repaired:?}");
        fixture.assert_all_rows();
        assert_eq!(repair.run(fixture).ranges, 0, "a second repair finds nothing");
    } else {
        assert_eq!(repaired.deleted, 0);
        fixture.assert_no_row_is_missing();
        assert_eq!(repair.run(fixture).missing, 0, "a second repair finds nothing missing");
    }
}
