//! The foreign data wrapper's options: what is refused, and with which words.

use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Pair, Pull, Rows, refusal, whole_text};

fn assert_refused(sql: &str, said: &[&str]) {
    let fixture = Fixture::bare(Pair::shared());
    fixture.on_stage("create server good foreign data wrapper lrs_extract");
    let refused = refusal(fixture.stage().batch_execute(sql));
    for word in said {
        assert!(whole_text(&refused).contains(word), "{word:?} in {}", whole_text(&refused));
    }
}

#[test]
fn an_unknown_server_option_is_refused_with_the_list_of_valid_ones() {
    assert_refused(
        "create server s foreign data wrapper lrs_extract options (hots 'x')",
        &[
            "HV00D",
            "hots",
            "host",
            "hostaddr",
            "port",
            "dbname",
            "sslmode",
            "sslrootcert",
            "connect_timeout",
            "statement_timeout",
            "lock_timeout",
            "keepalives",
            "application_name",
        ],
    );
}

#[test]
fn an_unknown_mapping_option_is_refused_with_the_list_of_valid_ones() {
    assert_refused(
        "create user mapping for current_user server good options (usr 'x')",
        &["HV00D", "usr", "user", "password", "sslcert", "sslkey", "password_required"],
    );
}

#[test]
fn an_option_of_libpq_that_is_not_supported_is_refused_with_the_reason() {
    for (option, said) in [
        ("channel_binding 'require'", "binds the channel"),
        ("options '-c geqo=off'", "alter role"),
        ("tcp_user_timeout '5s'", "60 s"),
        ("sslcrl '/x'", "revocation"),
        ("passfile '/x'", "user mapping"),
        ("service 'x'", "as options"),
        ("target_session_attrs 'standby'", "name the standby"),
    ] {
        let sql = format!("create server s foreign data wrapper lrs_extract options ({option})");
        assert_refused(&sql, &["HV00D", "libpq", said]);
    }
}

#[test]
fn a_list_of_hosts_is_refused_as_it_is_set() {
    assert_refused(
        "create server s foreign data wrapper lrs_extract options (host 'db1,db2')",
        &["22023", "one host"],
    );
}

#[test]
fn a_password_among_the_server_options_is_refused() {
    assert_refused(
        "create server s foreign data wrapper lrs_extract options (password 'geheim')",
        &["HV00D", "password"],
    );
}

#[test]
fn an_option_of_the_wrapper_itself_is_refused() {
    assert_refused("alter foreign data wrapper lrs_extract options (host 'x')", &["HV00D", "host"]);
}

#[test]
fn a_bad_value_of_an_option_is_refused_as_it_is_set() {
    for (option, value) in [
        ("sslmode", "verify"),
        ("port", "fifty"),
        ("port", "70000"),
        ("connect_timeout", "soon"),
        ("statement_timeout", "5 fortnights"),
        ("hostaddr", "not an address"),
    ] {
        assert_refused(
            &format!(
                "create server s foreign data wrapper lrs_extract options ({option} '{value}')"
            ),
            &[option],
        );
    }
}

#[test]
fn password_required_is_for_superusers() {
    let fixture = Fixture::with(&Rows::of(0));
    let role = format!("{}_recorder", fixture.db);
    fixture.on_stage(&format!(
        "create role {role} login password 'x'; grant usage on foreign server lrs_source to {role}"
    ));
    let mapping = "create user mapping for current_user server lrs_source
                   options (user 'reader', password_required 'false')";
    let refused = refusal(fixture.stage_as(&role, "x").batch_execute(mapping));
    assert!(whole_text(&refused).contains("password_required"), "{}", whole_text(&refused));
}

/// A permanent error: at once, with a hint, and without the password.
fn refused_connection(change: &str) -> String {
    let fixture = Fixture::with(&Rows::of(10));
    fixture.on_stage(change);
    let began = Instant::now();
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert!(began.elapsed() < Duration::from_secs(8), "only after {:?}", began.elapsed());
    assert!(refused.hint().is_some(), "a hint in {}", whole_text(&refused));
    fixture.assert_nothing_left_running();
    whole_text(&refused)
}

#[test]
fn a_wrong_password_is_a_permanent_error_that_does_not_show_it() {
    let words = refused_connection(
        "alter user mapping for current_user server lrs_source options (set password 'Unbekannt77')",
    );
    assert!(words.contains("lrs_source"), "{words}");
    assert!(words.contains("authentication") && words.contains("[28P01]"), "{words}");
    assert!(!words.contains("Unbekannt77"), "{words}");
}

#[test]
fn a_database_that_does_not_exist_is_a_permanent_error() {
    let words = refused_connection("alter server lrs_source options (set dbname 'nirgendwo')");
    assert!(words.contains("nirgendwo"), "{words}");
}

#[test]
fn a_missing_server_is_named_with_the_statement_that_makes_it() {
    let words = refused_connection("drop server lrs_source cascade");
    assert!(words.contains("lrs_source") && words.contains("create server"), "{words}");
}

#[test]
fn a_missing_user_mapping_is_named_with_the_statement_that_makes_it() {
    let words = refused_connection("drop user mapping for current_user server lrs_source");
    assert!(words.contains("create user mapping"), "{words}");
}

#[test]
fn a_server_of_another_wrapper_is_refused() {
    let words = refused_connection(
        "create foreign data wrapper stranger;
         create server elsewhere foreign data wrapper stranger;
         update lrs_extract.pipeline set server = 'elsewhere'",
    );
    assert!(words.contains("elsewhere"), "{words}");
}
