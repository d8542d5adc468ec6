//! Many rows that the target refuses, or has already: soon told, cheap, and counted apart.

use crate::fixture::{Fixture, Pair, Pull, Rows, refusal, whole_text};
use crate::functions::replay::{reasons, rejects, replayed};

const ROWS: i64 = 12_000;

fn set(fixture: &Fixture, assignment: &str) {
    fixture.on_stage(&format!("update lrs_extract.pipeline set {assignment}"));
}

/// A target that has these rows of the source, not by this pipeline, and a unique key over them.
fn fixture_with_rows_already(rows: i64, there: &str) -> Fixture {
    fixture_on(Pair::shared(), rows, there)
}

fn fixture_on(pair: Pair, rows: i64, there: &str) -> Fixture {
    let fixture = Fixture::on(pair, &Rows::of(rows).in_key_order());
    fixture.pull_all();
    fixture.on_stage(&format!(
        "select lrs_extract.forget('2025-03-01', '2025-08-01');
         delete from lrs_extract.run;
         delete from pipeline.aidt_raw where not {there};
         alter table pipeline.aidt_raw add constraint ids unique (id)"
    ));
    fixture
}

const EVERY_THIRD: &str = "((\"statement\" ->> 'serial')::int % 3 = 0)";

fn sums(fixture: &Fixture) -> String {
    let sums = "select concat_ws(' ', 'read', rows_read, 'rows', rows, 'rejected', rejected, 'skipped', skipped) from ";
    let run = fixture.stage_value(&format!("{sums} lrs_extract.runs order by run_id desc limit 1"));
    for table in ["slice", "batch"] {
        let same = fixture.stage_value(&format!(
            "{sums} (select sum(rows_read) as rows_read, sum(rows) as rows, sum(rejected) as rejected, sum(skipped) as skipped
                       from lrs_extract.{table} where run_id = (select max(run_id) from lrs_extract.run)) s"
        ));
        assert_eq!(run, same, "{table}");
    }
    run
}

#[test]
fn a_run_whose_first_rows_are_all_refused_ends_with_the_reason() {
    for commit in ["batch", "caller"] {
        let fixture = fixture_with_rows_already(ROWS, "true");
        let refused = refusal(Pull::everything().commit(commit).try_run(&mut fixture.stage()));
        let words = whole_text(&refused);
        assert_eq!(refused.code().code(), "53400", "{words}");
        assert!(words.contains("duplicate key value") && words.contains("\"ids\""), "{words}");
        assert!(words.contains("max_rejects") && words.contains("skip"), "{words}");
        if commit == "batch" {
            assert_eq!(fixture.last_run_state(), "failed");
        }
    }
}

/// On servers of its own: others' transactions count, too.
fn transactions(fixture: &Fixture) -> i64 {
    fixture.stage_value("select txid_current()").parse().expect("a number")
}

#[test]
fn mass_rejects_take_few_transaction_ids_and_are_named_as_the_bottleneck() {
    let fixture = fixture_on(Pair::own(), ROWS, "true");
    set(&fixture, "max_rejects = 1000000");
    let before = transactions(&fixture);
    let pulled = Pull::everything().batch(50_000).jobs(1).run(&mut fixture.stage());
    assert_eq!((pulled.rows, pulled.rejected), (0, ROWS));
    let taken = transactions(&fixture) - before;
    assert!(taken < ROWS / 100, "{taken} transaction ids for {ROWS} rejects");
    assert_eq!(reasons(&fixture), "- 23505");
    let advice =
        fixture.stage_value("select verdict || ': ' || advice from lrs_extract.bottleneck");
    assert!(advice.contains("12000 of 12000 rows were refused"), "{advice}");
    assert!(advice.contains("duplicate key") && !advice.contains("drop them first"), "{advice}");
}

#[test]
fn rows_that_a_check_or_a_foreign_key_refuses_take_few_transaction_ids_too() {
    let fixture = Fixture::on(Pair::own(), &Rows::of(ROWS).in_key_order());
    fixture.on_stage("alter table pipeline.aidt_raw add constraint none check (flag = 'X')");
    set(&fixture, "max_rejects = '100 %'");
    let before = transactions(&fixture);
    assert_eq!(Pull::everything().jobs(1).run(&mut fixture.stage()).rejected, ROWS);
    let taken = transactions(&fixture) - before;
    assert!(taken < ROWS / 100, "{taken} transaction ids for {ROWS} rejects");

    // A foreign key is checked when the row is there, which takes one: for each row, and no more.
    fixture.on_stage(
        "alter table pipeline.aidt_raw drop constraint none;
         create table pipeline.kind (name varchar primary key);
         alter table pipeline.aidt_raw add foreign key (object_type) references pipeline.kind;
         select lrs_extract.forget('2025-03-01', '2025-08-01')",
    );
    let before = transactions(&fixture);
    let pull = Pull::period("2025-03-01", "2025-04-01").jobs(1);
    let rejected = pull.run(&mut fixture.stage()).rejected;
    let taken = transactions(&fixture) - before;
    assert!(rejected > ROWS / 6, "{rejected} rejects");
    assert!(taken < rejected + rejected / 10, "{taken} transaction ids for {rejected} rejects");
}

#[test]
fn rows_that_are_there_already_are_rejected_among_those_that_are_not() {
    let fixture = fixture_with_rows_already(3_000, EVERY_THIRD);
    let pulled = fixture.pull_all();
    assert_eq!((pulled.rows, pulled.rejected), (2_000, 1_000));
    assert_eq!(sums(&fixture), "read 3000 rows 2000 rejected 1000 skipped 0");
    assert_eq!(fixture.target_rows(), 3_000);
    let wrong = "select count(*) from lrs_extract.reject where (statement::jsonb ->> 'serial')::int % 3 <> 0";
    assert_eq!(fixture.stage_value(wrong), "0");
}

#[test]
fn rows_that_are_there_already_are_skipped_and_counted_where_the_pipeline_says_so() {
    let targets = [
        ("a plain one", ""),
        (
            "a trigger",
            "create function pipeline.keep() returns trigger language plpgsql as 'begin return new; end';
             create trigger keep before insert on pipeline.aidt_raw for each row execute function pipeline.keep()",
        ),
        (
            "a deferrable key",
            "alter table pipeline.aidt_raw drop constraint ids;
             alter table pipeline.aidt_raw add constraint ids unique (id) deferrable",
        ),
        (
            "a deferred key",
            "alter table pipeline.aidt_raw drop constraint ids;
             alter table pipeline.aidt_raw add constraint ids unique (id) deferrable initially deferred",
        ),
        (
            "partitions",
            "alter table pipeline.aidt_raw rename to aidt_first;
             create table pipeline.aidt_raw (like pipeline.aidt_first including defaults, unique (id, \"timestamp\"))
                 partition by range (\"timestamp\");
             create table pipeline.early partition of pipeline.aidt_raw for values from (minvalue) to ('2025-05-01');
             create table pipeline.late partition of pipeline.aidt_raw for values from ('2025-05-01') to (maxvalue);
             insert into pipeline.aidt_raw select * from pipeline.aidt_first",
        ),
    ];
    for (target, sql) in targets {
        for commit in ["batch", "slice", "caller"] {
            if target == "a deferred key" && commit == "caller" {
                continue; // The caller's commit checks it.
            }
            let fixture = fixture_with_rows_already(900, EVERY_THIRD);
            fixture.on_stage(sql);
            set(&fixture, "on_conflict = 'skip'");
            let (mut session, notices) = fixture.stage_with_notices();
            let pulled = Pull::everything().batch(120).commit(commit).run(&mut session);
            assert_eq!((pulled.rows, pulled.rejected), (600, 0), "{target}, {commit}");
            assert_eq!(sums(&fixture), "read 900 rows 600 rejected 0 skipped 300", "{target}");
            fixture.assert_all_rows();
            let said = notices.all();
            assert!(said.iter().any(|n| n.contains("skipped")), "{said:?}");
            assert!(!said.iter().any(|n| n.starts_with("WARNING")), "{said:?}");
        }
    }
}

#[test]
fn skipped_rows_are_told_apart_from_bad_ones_and_from_those_that_a_trigger_takes() {
    let fixture = Fixture::with(&Rows::of(3_000).odd_ids_every(10).in_key_order());
    fixture.pull_all();
    fixture.on_stage(
        "select lrs_extract.forget('2025-03-01', '2025-08-01');
         delete from pipeline.aidt_raw where (\"statement\" ->> 'serial')::int % 3 <> 0;
         alter table pipeline.aidt_raw add unique (id);
         create function pipeline.take() returns trigger language plpgsql as $$
             begin
                 if (new.\"statement\" ->> 'serial')::int % 10 = 1 then return null; end if;
                 return new;
             end $$;
         create trigger take before insert on pipeline.aidt_raw
             for each row execute function pipeline.take()",
    );
    set(&fixture, "on_conflict = 'skip'");
    fixture.pull_all();
    // Of 3,000: 300 bad; 300 end in 1 and are taken away; of the other 2,400, a third is there.
    assert_eq!(sums(&fixture), "read 3000 rows 1600 rejected 300 skipped 800");
    let advice = fixture
        .stage_value("select advice from lrs_extract.bottleneck order by run_id desc limit 1");
    assert!(advice.contains("took 300 of 3000 rows away"), "{advice}");
    let report = fixture.stage_value("select lrs_extract.report(max(run_id)) from lrs_extract.run");
    assert!(report.contains("800 skipped") && report.contains("300 of 3,000"), "{report}");
}

#[test]
fn rejects_whose_row_is_there_by_now_are_dropped_by_replay_where_the_pipeline_says_so() {
    let fixture = fixture_with_rows_already(900, EVERY_THIRD);
    assert_eq!(fixture.pull_all().rejected, 300);
    assert_eq!(replayed(&fixture), 0);
    set(&fixture, "on_conflict = 'skip'");
    let (mut session, notices) = fixture.stage_with_notices();
    let call = "select lrs_extract.replay('2025-03-01', '2025-08-01')";
    assert_eq!(session.query_one(call, &[]).expect("a count").get::<_, i64>(0), 0);
    assert_eq!(rejects(&fixture), 0);
    assert!(
        notices.all().iter().any(|n| n.contains("300 rejects were dropped")),
        "{:?}",
        notices.all()
    );
    fixture.assert_all_rows();
}

#[test]
fn a_run_ends_beyond_the_rejects_that_the_pipeline_allows_and_the_same_call_continues() {
    // A tenth of the rows has an odd id.
    for (bound, stops) in
        [("'0'", true), ("'399'", true), ("400", false), ("'9.9 %'", true), ("'12%'", false)]
    {
        let fixture = Fixture::with(&Rows::of(4_000).odd_ids_every(10).in_key_order());
        set(&fixture, &format!("max_rejects = {bound}"));
        let pull = Pull::everything().batch(500).jobs(2);
        let outcome = pull.try_run(&mut fixture.stage());
        assert_eq!(outcome.is_err(), stops, "{bound}");
        if stops {
            let refused = refusal(outcome);
            let words = whole_text(&refused);
            assert_eq!(refused.code().code(), "53400", "{words}");
            assert!(words.contains("column \"id\"") && words.contains("22P02"), "{words}");
            set(&fixture, "max_rejects = null");
            pull.run(&mut fixture.stage());
        }
        fixture.assert_all_rows();
        assert_eq!(rejects(&fixture), 400, "{bound}");
    }
}

#[test]
fn a_bound_that_is_none_is_refused() {
    let fixture = Fixture::with(&Rows::of(0));
    for bad in ["many", "-1", "5 percent", "%", "1e3", "1000 %%"] {
        let sql = format!("update lrs_extract.pipeline set max_rejects = '{bad}'");
        let refused = refusal(fixture.stage().batch_execute(&sql));
        assert_eq!(refused.code().code(), "23514", "{bad}");
    }
}
