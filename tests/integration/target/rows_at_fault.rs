//! Which row is at fault where the server does not say: by a deferred constraint, by a trigger's own
//! words. The good rows beside it go in.

use crate::fixture::{Fixture, Pull, Rows, dedup, refusal, whole_text};
use crate::functions::replay::{reasons, rejects, replayed};

/// 300 rows of one day, some 10 MB: several flushes. Each refers to one that comes 25 rows later; the 237th
/// refers to none that there is.
fn fixture_of_chains() -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(&format!(
        "insert into acid.lrs_statement_new
         select '2025-04-01 00:00+00'::timestamptz + n * interval '1 minute',
                jsonb_build_object('id', md5('s' || n)::uuid,
                    'parent', case when n = 237 then md5('nowhere') when n <= 275 then md5('s' || n + 25) end::uuid,
                    'filler', (select string_agg(md5(n || ' ' || i), '') from generate_series(1, 1000) i)),
                n
           from generate_series(1, {CHAIN}) n"
    ));
    fixture.on_stage(
        // Not compressed: rows are tried again and again.
        r#"alter table pipeline.aidt_raw add primary key (id), add parent uuid,
               alter "statement" set storage external;
           update lrs_extract.pipeline
              set mapping = mapping || '{"parent": {"path": ["parent"]}}'"#,
    );
    fixture
}

const CHAIN: i64 = 300;
/// The rows that hang on the 237th, and itself.
const HANGING: i64 = 10;

fn constrain(fixture: &Fixture, deferred: &str) {
    fixture.on_stage(&format!(
        "alter table pipeline.aidt_raw add constraint parents
             foreign key (parent) references pipeline.aidt_raw {deferred}"
    ));
}

fn assert_counts_are_those_of_the_rows(fixture: &Fixture) {
    let differing = "select count(*) from lrs_extract.batch b where rejected <>
        (select count(*) from lrs_extract.reject r where (r.run_id, r.batch_no) = (b.run_id, b.batch_no))";
    assert_eq!(fixture.stage_value(differing), "0");
    let sums = "select bool_and((s.rows, s.rejected, s.rows_read) = (b.rows, b.rejected, b.rows_read) and b.rows_read = b.rows + b.rejected)
                  from lrs_extract.slice s,
                       lateral (select coalesce(sum(rows), 0) as rows, coalesce(sum(rejected), 0) as rejected,
                                       coalesce(sum(rows_read), 0) as rows_read
                                  from lrs_extract.batch b where (b.run_id, b.slice_no) = (s.run_id, s.slice_no)) b";
    assert_eq!(fixture.stage_value(sums), "true");
}

#[test]
fn a_row_whose_parent_comes_in_a_later_flush_is_not_refused_for_a_bad_row_beside_it() {
    for (commit, batch) in [("batch", 5_000), ("slice", 23)] {
        let fixture = fixture_of_chains();
        constrain(&fixture, "deferrable initially deferred");
        let pulled = Pull::everything().batch(batch).commit(commit).run(&mut fixture.stage());
        assert_eq!((pulled.rows, pulled.rejected), (CHAIN - HANGING, HANGING), "{commit}");
        assert_eq!(reasons(&fixture), "- 23503");
        fixture.assert_all_rows();
        assert_counts_are_those_of_the_rows(&fixture);
    }
}

#[test]
fn a_reject_that_breaks_a_deferred_constraint_does_not_end_replay() {
    let fixture = fixture_of_chains();
    fixture.on_stage("alter table pipeline.aidt_raw add constraint none check (false)");
    assert_eq!(fixture.pull_all().rejected, CHAIN);
    fixture.on_stage("alter table pipeline.aidt_raw drop constraint none");
    constrain(&fixture, "deferrable initially deferred");
    assert_eq!(replayed(&fixture), CHAIN - HANGING);
    assert_eq!((rejects(&fixture), fixture.target_rows()), (HANGING, CHAIN - HANGING));
    assert_eq!(reasons(&fixture), "- 23503");
    fixture.assert_all_rows();
    assert_eq!(replayed(&fixture), 0);
    assert_eq!(rejects(&fixture), HANGING);
}

#[test]
fn rejects_in_a_later_step_bring_the_rows_that_earlier_ones_refer_to() {
    let fixture = fixture_of_chains();
    fixture.on_stage("alter table pipeline.aidt_raw add constraint none check (false)");
    fixture.pull_all();
    fixture.on_stage("alter table pipeline.aidt_raw drop constraint none");
    constrain(&fixture, "");
    let (mut session, notices) = fixture.stage_with_notices();
    let call = "select lrs_extract.replay('2025-03-01', '2025-08-01')";
    let taken: i64 = session.query_one(call, &[]).expect("a count").get(0);
    assert_eq!(taken, CHAIN - HANGING);
    let said = format!("{HANGING} rejects still do not fit");
    assert!(notices.all().iter().any(|n| n.contains(&said)), "{:?}", notices.all());
    fixture.assert_all_rows();
}

/// A trigger on the target that raises what `raise` says where `refused` holds of the new row.
fn guard(fixture: &Fixture, time: &str, refused: &str, raise: &str) {
    fixture.on_stage(&format!(
        "create function pipeline.guard() returns trigger language plpgsql as
             $$ begin if {refused} then raise exception {raise}; end if; return new; end $$;
         create {time} on pipeline.aidt_raw {} for each row execute function pipeline.guard()",
        if time.contains("constraint") { "deferrable initially deferred" } else { "" }
    ));
}

#[test]
fn a_row_that_a_validation_trigger_refuses_in_its_own_words_is_rejected() {
    for time in [
        "trigger guard before insert",
        "trigger guard after insert",
        "constraint trigger guard after insert",
    ] {
        let fixture = Fixture::with(&Rows::of(700));
        let refused = "(new.\"statement\" ->> 'serial')::int % 50 = 3";
        guard(&fixture, time, refused, "'serial % is not allowed', new.\"statement\" ->> 'serial'");
        let pulled = fixture.pull_all();
        assert_eq!((pulled.rows, pulled.rejected), (686, 14), "{time}");
        assert_eq!(reasons(&fixture), "- P0001", "{time}");
        let said = "select count(*) from lrs_extract.reject where message = 'serial ' || (statement::jsonb ->> 'serial') || ' is not allowed'";
        assert_eq!(fixture.stage_value(said), "14", "{time}");
        fixture.assert_all_rows();
        assert_eq!(replayed(&fixture), 0, "{time}");
        fixture.on_stage("drop trigger guard on pipeline.aidt_raw");
        assert_eq!(replayed(&fixture), 14, "{time}");
        fixture.assert_all_rows();
    }
}

#[test]
fn rows_that_a_deferred_trigger_wants_together_go_in_by_one_replay() {
    let fixture = Fixture::with(&Rows::of(30));
    // Those up to 13 miss one that they need, and the others are there in any order.
    fixture
        .on_source("delete from acid.lrs_statement_new where full_statement ->> 'serial' = '14'");
    fixture.on_stage("alter table pipeline.aidt_raw add constraint none check (false)");
    assert_eq!(fixture.pull_all().rejected, 29);
    fixture.on_stage("alter table pipeline.aidt_raw drop constraint none");
    let alone = "(new.\"statement\" ->> 'serial')::int < 29 and not exists (
        select from pipeline.aidt_raw
         where (\"statement\" ->> 'serial')::int = (new.\"statement\" ->> 'serial')::int + 1)";
    guard(&fixture, "constraint trigger guard after insert", alone, "'alone'");
    assert_eq!(replayed(&fixture), 15);
    assert_eq!((rejects(&fixture), reasons(&fixture)), (14, "- P0001".to_owned()));
    fixture.assert_all_rows();
}

#[test]
fn a_row_that_a_trigger_refuses_ends_the_run_where_bad_values_do() {
    let fixture = Fixture::with(&Rows::of(100));
    guard(&fixture, "trigger guard before insert", "new.\"statement\" ->> 'serial' = '42'", "'no'");
    fixture.on_stage("update lrs_extract.pipeline set on_bad_value = 'abort'");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "P0001", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("Source row with timestamp"), "{}", whole_text(&refused));
}

#[test]
fn no_row_is_at_fault_where_a_trigger_is_against_all_statements() {
    for (sqlstate, call) in [("P0001", "batch"), ("22000", "batch"), ("23514", "caller")] {
        let fixture = Fixture::with(&Rows::of(100));
        fixture.on_stage(&format!(
            "create function pipeline.close() returns trigger language plpgsql as
                 $$ begin raise exception 'closed today' using errcode = '{sqlstate}'; end $$;
             create trigger close before insert on pipeline.aidt_raw
                 for each statement execute function pipeline.close()"
        ));
        let refused = refusal(Pull::everything().commit(call).try_run(&mut fixture.stage()));
        assert_eq!(refused.code().code(), sqlstate, "{}", whole_text(&refused));
        assert!(whole_text(&refused).contains("closed today"), "{}", whole_text(&refused));
        assert_eq!(rejects(&fixture), 0);
    }
}

#[test]
fn trouble_of_the_server_is_no_rows_fault() {
    for sqlstate in ["53100", "55P02", "57014", "42501", "XX001"] {
        let fixture = Fixture::with(&Rows::of(100));
        let raise = format!("'trouble' using errcode = '{sqlstate}'");
        let one = "new.\"statement\" ->> 'serial' = '42'";
        guard(&fixture, "trigger guard before insert", one, &raise);
        let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
        assert_eq!(refused.code().code(), sqlstate, "{}", whole_text(&refused));
        assert_eq!(rejects(&fixture), 0, "{sqlstate}");
    }
}

#[test]
fn a_duplicate_that_others_refer_to_is_left_and_told_of() {
    for deferred in ["", "deferrable initially deferred"] {
        let fixture = Fixture::with(&Rows::of(300));
        fixture.on_stage(
            "alter table pipeline.aidt_raw add line bigint generated always as identity unique",
        );
        fixture.pull_all();
        Pull::everything().again().run(&mut fixture.stage());
        assert_eq!(fixture.target_rows(), 600);
        fixture.on_stage(&format!(
            "create table pipeline.note (line bigint references pipeline.aidt_raw (line) {deferred});
             insert into pipeline.note select line from pipeline.aidt_raw
                                        where \"statement\" ->> 'serial' in ('7', '200')"
        ));
        let (mut session, notices) = fixture.stage_with_notices();
        assert_eq!(dedup(&mut session), 298, "{deferred}");
        assert_eq!(fixture.target_rows(), 302, "{deferred}");
        let all = notices.all();
        assert!(all.iter().any(|n| n.contains("2 duplicates were left")), "{all:?}");
        assert!(all.iter().any(|n| n.contains("violates foreign key")), "{all:?}");
    }
}
