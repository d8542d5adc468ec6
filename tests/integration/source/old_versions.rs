//! A source of a version that is too old is refused at once, and by that name.

use std::time::{Duration, Instant};

use crate::fixture::{Disguise, Fixture, Pull, Rows, refusal, whole_text};

/// A call is refused within a moment, with the version that was found and what is needed.
fn assert_refused(fixture: &Fixture, disguise: &Disguise, call: &str) {
    let begun = Instant::now();
    let refused = refusal(fixture.stage().query(&format!("select * from {call}"), &[]));
    let words = whole_text(&refused);
    assert!(begun.elapsed() < Duration::from_secs(4), "after {:?}: {words}", begun.elapsed());
    assert_eq!(refused.code().code(), "0A000", "{words}");
    let found = format!("the source is PostgreSQL {};", disguise.server_version);
    assert!(words.contains(&found) && words.contains("needs PostgreSQL 13 or later"), "{words}");
    assert!(refused.detail().is_some_and(|detail| detail.contains(disguise.product)), "{words}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("alter server")), "{words}");
}

#[test]
fn a_source_older_than_13_is_refused_with_the_version_that_was_found() {
    let fixture = Fixture::with(&Rows::of(50));
    for (server_version, number, product, knows_missing_settings) in [
        ("12.19 (Debian 12.19-1)", 120_019, "PostgreSQL 12.19 on x86_64-pc-linux-gnu", true),
        ("11.2-YB-2.20.1.0-b0", 110_002, "PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64", true),
        ("9.6.24", 90_624, "PostgreSQL 9.6.24 on x86_64-pc-linux-gnu", true),
        ("9.5.25", 90_525, "PostgreSQL 9.5.25 on x86_64-pc-linux-gnu", false),
        ("8.0.2", 80_002, "PostgreSQL 8.0.2 on i686-pc-linux-gnu, Redshift 1.0.12103", false),
    ] {
        let disguise = Disguise { server_version, number, product, knows_missing_settings };
        disguise.put_on(&fixture);
        for call in ["plan", "verify"] {
            let call = format!("lrs_extract.{call}('2025-03-01', '2025-08-01')");
            assert_refused(&fixture, &disguise, &call);
        }
        for commit in ["batch", "caller"] {
            assert_refused(&fixture, &disguise, &Pull::everything().commit(commit).call());
        }
        fixture.assert_nothing_left_running();
        assert_eq!(fixture.target_rows(), 0);
    }
}

#[test]
fn what_counts_is_the_version_that_the_source_gives_when_asked() {
    let fixture = Fixture::with(&Rows::of(50));
    let number = fixture.source_value("current_setting('server_version_num')");
    let number = number.parse().expect("a number");
    // A pooler that says a version of its own.
    for server_version in ["1.18.0/bouncer", "8.0.2", ""] {
        let disguise =
            Disguise { server_version, number, product: "", knows_missing_settings: true };
        disguise.put_on(&fixture);
        let rows = Pull::everything().again().run(&mut fixture.stage()).rows;
        assert_eq!(rows, 50, "{server_version:?}");
    }
}
