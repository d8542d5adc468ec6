//! The sample that `make demo` and `make bench` pull: the same kinds of keys and statements as in
//! the field, made by SQL alone.

use std::path::Path;

use crate::fixture::{Fixture, Pair, Pull};

const ROWS: i64 = 4_000;

/// A fixture whose source table is the sample's, with `ties` as its script has them, and so large a share
/// of null actors and of odd statements.
fn sample(ties: &str, share: &str) -> Fixture {
    let fixture = Fixture::bare(Pair::shared());
    fixture.on_source("drop schema acid cascade");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/sample_source.sql");
    let output = fixture
        .pair
        .source
        .tool("psql")
        .args(["-X", "-q", "-d", &fixture.db, "-v", &format!("rows={ROWS}")])
        .args(["-v", &format!("ties={ties}"), "-v", &format!("nulls={share}")])
        .args(["-v", &format!("odd={share}"), "-f"])
        .arg(script)
        .output()
        .expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fixture.on_source(
        "grant usage on schema acid to reader; grant select on all tables in schema acid to reader",
    );
    fixture.connect_stage_to_source("");
    fixture
}

fn assert_pulled_and_verified(fixture: &Fixture) {
    let pulled = Pull::everything().batch(500).run(&mut fixture.stage());
    assert_eq!(pulled.rows + pulled.rejected, ROWS);
    assert!(pulled.rejected > 0, "some statements are odd");
    let proof = "select bool_and(ok) and sum(source_rows) = sum(target_rows + rejected_rows)
                 from lrs_extract.verify('2025-03-01', '2025-08-01', level => 'hash')";
    assert_eq!(fixture.stage_value(proof), "true");
}

#[test]
fn timestamps_to_the_microsecond_are_pulled_and_verified() {
    let fixture = sample("none", "0.05");
    let alone = "select count(distinct \"timestamp\") from acid.lrs_statement_new";
    assert!(fixture.source_value(alone).parse::<i64>().expect("a count") > ROWS * 8 / 10);
    assert_pulled_and_verified(&fixture);
}

#[test]
fn whole_days_are_pulled_and_verified() {
    let fixture = sample("days", "0.05");
    let days = "select count(distinct \"timestamp\") from acid.lrs_statement_new";
    assert!(fixture.source_value(days).parse::<i64>().expect("a count") <= 153);
    assert_pulled_and_verified(&fixture);
}

#[test]
fn a_hundred_actors_have_equal_shares() {
    let fixture = sample("none", "0");
    let shares = "select string_agg(distinct n::text, ' ') || ' ' || count(*)
        from (select count(*) as n from acid.lrs_statement_new
               where actor_id between 1 and 100
               group by actor_id, full_statement -> 'actor' -> 'account' ->> 'name') actors";
    assert_eq!(fixture.source_value(shares), "40 100");
}
