//! Promise 3: nothing is covered before it is settled.

use crate::fixture::{Lab, Pull, Rows};

/// Rows that are ten minutes and one minute old by the source's clock.
fn lab_with_fresh_rows() -> Lab {
    let lab = Lab::with(&Rows::of(0));
    lab.on_source(
        "create table acid.lrs_statement_later partition of acid.lrs_statement_new
             for values from ('2026-01-01') to ('2100-01-01');
         insert into acid.lrs_statement_new
         select now() - age, acid.statement(extract(epoch from age)::bigint, false), 1
         from unnest('{10 minutes, 1 minute}'::interval[]) age",
    );
    lab
}

fn an_hour_around_now() -> Pull {
    Pull::around_now("-1 hour", "1 hour")
}

#[test]
fn a_period_that_ends_too_late_is_clipped_with_a_notice() {
    let lab = lab_with_fresh_rows();
    let (mut stage, notices) = lab.stage_with_notices();
    assert_eq!(an_hour_around_now().run(&mut stage).rows, 1);
    let said = notices.all();
    assert!(
        said.iter().any(|notice| notice.starts_with("NOTICE") && notice.contains("settle")),
        "a notice about settle among {said:#?}"
    );
}

#[test]
fn what_was_clipped_is_pulled_once_it_has_settled() {
    let lab = lab_with_fresh_rows();
    an_hour_around_now().run(&mut lab.stage());
    lab.on_stage("update lrs_extract.pipeline set settle = interval '0'");
    assert_eq!(an_hour_around_now().run(&mut lab.stage()).rows, 1);
}

#[test]
fn a_period_in_the_future_covers_nothing() {
    let lab = lab_with_fresh_rows();
    assert_eq!(Pull::around_now("1 hour", "2 hours").run(&mut lab.stage()).rows, 0);
    assert_eq!(lab.stage_value("select count(*) from lrs_extract.batch where rows > 0"), "0");
}
