//! A pooler before the source: other clients find its connections as they left them.

use crate::fixture::{Fixture, Pooler, Pull, Rows, refusal, skip, whole_text};

/// A fixture whose stage reads through a pgbouncer of that mode.
fn pooled(mode: &str, more: &str) -> Option<(Fixture, Pooler)> {
    let fixture = Fixture::with(&Rows::of(2_000).nulls_every(7));
    let Some(pooler) = Pooler::start(&fixture, mode, more) else {
        skip("there is no pgbouncer here; PGBOUNCER may name one");
        return None;
    };
    pooler.stands_before(&fixture);
    Some((fixture, pooler))
}

/// The settings that a stranger finds on each of the pool's connections, where they are not what the
/// server gives.
fn left_behind(fixture: &Fixture, pooler: &Pooler) -> Vec<String> {
    let mut found = Vec::new();
    // Two at once: the pool has no more.
    let mut clients = [pooler.client(fixture), pooler.client(fixture)];
    for client in &mut clients {
        client.batch_execute("begin").expect("a connection of its own");
        let rows = client
            .query(
                "select name || ' = ' || setting from pg_settings
                  where source = 'session' and name not in ('application_name', 'client_encoding')
                 union all
                 select 'statement ' || statement from pg_prepared_statements
                  where statement not like '%pg_prepared_statements%'",
                &[],
            )
            .expect("the settings");
        found.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    found
}

/// Plans, pulls and verifies by the pool, time and again.
fn assert_usable(fixture: &Fixture) {
    Pull::everything().batch(150).run(&mut fixture.stage());
    fixture.assert_all_rows();
    let mut stage = fixture.stage();
    for _ in 0..3 {
        stage
            .query("select * from lrs_extract.plan('2025-03-01', '2025-08-01')", &[])
            .expect("a plan");
        let rows = stage
            .query(
                "select ok from lrs_extract.verify('2025-03-01', '2025-08-01', 'aidt', 'hash')",
                &[],
            )
            .expect("a comparison");
        assert!(rows.iter().all(|row| row.get(0)), "verified");
    }
}

#[test]
fn a_pooler_in_transaction_mode_hands_on_connections_without_a_trace() {
    // What a pooler cannot hand on is refused by the one, and dropped by the other.
    for more in ["", "ignore_startup_parameters = options"] {
        let Some((fixture, pooler)) = pooled("transaction", more) else { return };
        assert_usable(&fixture);
        assert_eq!(left_behind(&fixture, &pooler), Vec::<String>::new(), "{more}");
    }
}

#[test]
fn a_heap_is_walked_through_a_pooler_in_transaction_mode() {
    let Some((fixture, pooler)) = pooled("transaction", "") else { return };
    fixture.on_stage("update lrs_extract.pipeline set walk = 'heap', pause_while = 'select false'");
    Pull::everything().batch(150).run(&mut fixture.stage());
    fixture.assert_all_rows();
    assert_eq!(left_behind(&fixture, &pooler), Vec::<String>::new());
}

#[test]
fn a_statement_that_fails_in_a_pooled_transaction_leaves_none_open() {
    let Some((fixture, pooler)) = pooled("transaction", "") else { return };
    fixture.on_stage("update lrs_extract.pipeline set pause_while = 'select 1/0'");
    let pull = Pull::everything().jobs(1);
    let refused = refusal(pull.try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "22012", "{}", whole_text(&refused));
    fixture.on_stage("update lrs_extract.pipeline set pause_while = null");
    fixture.on_source("revoke select on all tables in schema acid from reader");
    let refused = refusal(pull.try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
    let open = fixture.source_value(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state like 'idle in transaction%'",
    );
    assert_eq!(open, "0");
    assert_eq!(left_behind(&fixture, &pooler), Vec::<String>::new());
}

#[test]
fn a_pooler_in_session_mode_works() {
    let Some((fixture, _pooler)) = pooled("session", "default_pool_size = 4") else { return };
    assert_usable(&fixture);
}

#[test]
fn a_pooler_in_statement_mode_is_refused_in_words() {
    let Some((fixture, _pooler)) = pooled("statement", "") else { return };
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    let words = whole_text(&refused);
    assert!(refused.hint().is_some_and(|hint| hint.contains("pool_mode")), "{words}");
}
