//! What others made beside the extension's objects, and were granted on them.

use crate::fixture::{Fixture, Rows, refusal};

#[test]
fn who_could_verify_still_can_and_a_dump_says_so() {
    let Some(fixture) = Fixture::of_0_1_0(&Rows::of(0)) else { return };
    let role = format!("{}_\"auditor\"", fixture.db);
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    fixture.on_stage(&format!(
        "create role {quoted};
         grant execute on function lrs_extract.verify to {quoted} with grant option"
    ));
    fixture.update_extension();
    let may = fixture.stage_value(&format!(
        "select has_function_privilege('{role}',
                'lrs_extract.verify(timestamptz, timestamptz, text, text, int, int)',
                'execute with grant option')
             || ' ' || has_function_privilege('{role}', 'lrs_extract.repair(timestamptz, timestamptz, text, text, text, boolean)', 'execute')"
    ));
    assert_eq!(may, "true false", "what is new is nobody's yet");
    let dump =
        fixture.pair.stage.tool("pg_dump").args(["-s", &fixture.db]).output().expect("pg_dump");
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    let grants: Vec<&str> = dump.lines().filter(|line| line.starts_with("GRANT")).collect();
    let kept =
        grants.iter().any(|line| line.contains(".verify(") && line.contains("WITH GRANT OPTION"));
    assert!(kept, "{grants:#?}");
}

#[test]
fn views_of_others_on_the_extensions_views_survive() {
    let Some(fixture) = Fixture::left_by_0_1_0() else { return };
    fixture.on_stage(
        "create view pipeline.mine as
         select r.run_id, r.rows, p.share_done, b.verdict, s.walked
           from lrs_extract.runs r join lrs_extract.progress p using (run_id)
           join lrs_extract.bottleneck b using (run_id)
           join (select run_id, count(*) as walked from lrs_extract.slice group by 1) s using (run_id)",
    );
    fixture.update_extension();
    assert_eq!(fixture.stage_value("select count(*) from pipeline.mine"), "4");
}

#[test]
fn a_view_on_verify_keeps_the_update_from_half_happening() {
    let Some(fixture) = Fixture::of_0_1_0(&Rows::of(0)) else { return };
    fixture.on_stage(
        "create view pipeline.mine as
         select * from lrs_extract.verify('2025-03-01', '2025-04-01')",
    );
    let refused = refusal(fixture.stage().batch_execute("alter extension lrs_extract update"));
    assert_eq!(refused.code().code(), "2BP01");
    assert!(refused.detail().is_some_and(|it| it.contains("view pipeline.mine")), "{refused:?}");
    assert!(refused.hint().is_some_and(|it| it.starts_with("Drop them")), "{refused:?}");
    let version = "select extversion from pg_extension where extname = 'lrs_extract'";
    assert_eq!(fixture.stage_value(version), "0.1.0");
    fixture.on_stage("drop view pipeline.mine");
    fixture.update_extension();
}

#[test]
fn what_is_new_belongs_to_whom_the_extension_belongs_to() {
    let Some(fixture) = Fixture::of_0_1_0(&Rows::of(100)) else { return };
    let role = format!("{}_dba", fixture.db);
    fixture.on_stage(&format!("create role {role} superuser"));
    // Only the owner may update it, or who is like it.
    fixture.on_stage(&format!("set role {role}; alter extension lrs_extract update"));
    let owners = "select string_agg(distinct owner::regrole::text, ' ') from (
                    select relowner from pg_class where relnamespace = 'lrs_extract'::regnamespace
                    union select proowner from pg_proc where pronamespace = 'lrs_extract'::regnamespace) o (owner)";
    assert_eq!(fixture.stage_value(owners), "postgres");
    fixture.on_stage(&format!("drop role {role}"));
    fixture.pull_all();
    fixture.assert_all_rows();
}
