//! Promise 3: nothing is covered before it is settled.

use crate::fixture::{Fixture, Pull, Rows};

/// Rows that are ten minutes and one minute old by the source's clock.
fn fixture_with_fresh_rows() -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(
        "create table acid.lrs_statement_later partition of acid.lrs_statement_new
             for values from ('2026-01-01') to ('2100-01-01');
         insert into acid.lrs_statement_new
         select now() - age, acid.statement(extract(epoch from age)::bigint, false), 1
         from unnest('{10 minutes, 1 minute}'::interval[]) age",
    );
    fixture
}

fn an_hour_around_now() -> Pull {
    Pull::around_now("-1 hour", "1 hour")
}

#[test]
fn a_period_that_ends_too_late_is_clipped_with_a_notice() {
    let fixture = fixture_with_fresh_rows();
    let (mut stage, notices) = fixture.stage_with_notices();
    assert_eq!(an_hour_around_now().run(&mut stage).rows, 1);
    let said = notices.all();
    assert!(
        said.iter().any(|notice| notice.starts_with("NOTICE") && notice.contains("settle")),
        "a notice about settle among {said:#?}"
    );
}

#[test]
fn what_was_clipped_is_pulled_once_it_has_settled() {
    let fixture = fixture_with_fresh_rows();
    an_hour_around_now().run(&mut fixture.stage());
    fixture.on_stage("update lrs_extract.pipeline set settle = interval '0'");
    assert_eq!(an_hour_around_now().run(&mut fixture.stage()).rows, 1);
}

#[test]
fn a_period_in_the_future_covers_nothing() {
    let fixture = fixture_with_fresh_rows();
    assert_eq!(Pull::around_now("1 hour", "2 hours").run(&mut fixture.stage()).rows, 0);
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.batch where rows > 0"), "0");
}
