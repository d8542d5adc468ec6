//! The five values of sslmode, against a source with a certificate of a test authority, with one
//! of an unknown authority, and without TLS.

use std::sync::{Arc, OnceLock};

use crate::fixture::{
    Authority, Fixture, Pair, Pull, Rows, Server, ServerPlan, Version, refusal, whole_text,
};

const RIGHT_HOST: &str = "source.example";
const WRONG_HOST: &str = "elsewhere.example";

/// The sources of these tests: each is reached at 127.0.0.1, by whatever name.
struct Sources {
    with_tls: Pair,
    without_tls: Pair,
}

fn sources() -> &'static Sources {
    static SOURCES: OnceLock<Sources> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let authority = Authority::new();
        let identity = authority.vouch_for(RIGHT_HOST);
        let plan = || {
            ServerPlan::of(Version::source_with_tls())
                .listening()
                .setting("log_connections = on")
                .file("trusted.pem", authority.certificate.clone())
                .file("stranger.pem", Authority::new().certificate)
        };
        let with_tls = plan()
            .setting("ssl = on")
            .file("server.crt", identity.certificate)
            .file("server.key", identity.key);
        Sources { with_tls: pair(with_tls), without_tls: pair(plan()) }
    })
}

fn pair(source: ServerPlan) -> Pair {
    let source = source.start();
    let role = "create role reader login password 'correct horse'";
    source.connect("postgres").batch_execute(role).expect("the reader");
    Pair { source: Arc::new(source), stage: Pair::shared().stage }
}

/// How the stage is told to reach the source.
struct Reach<'a> {
    pair: &'a Pair,
    sslmode: &'a str,
    host: &'a str,
    authority: Option<&'a str>,
}

impl Reach<'_> {
    fn fixture(&self) -> Fixture {
        let fixture = Fixture::bare(self.pair.clone());
        Rows::of(50).fill(&mut fixture.source());
        let source: &Server = &self.pair.source;
        let root = self.authority.map_or(String::new(), |name| {
            format!(", sslrootcert '{}'", source.file(name).display())
        });
        fixture.on_stage(&format!(
            "create server lrs_source foreign data wrapper lrs_extract options (
                 {} hostaddr '127.0.0.1', port '{}', dbname '{}', sslmode '{}' {root});
             create user mapping for current_user server lrs_source
                 options (user 'reader', password 'correct horse');
             update lrs_extract.pipeline set retries = 1, retry_delay = '10 ms'",
            match self.host {
                "" => String::new(),
                host => format!("host '{host}',"),
            },
            source.port(),
            fixture.db,
            self.sslmode
        ));
        fixture
    }

    /// The rows arrive; says whether the connection was encrypted.
    fn assert_connects(&self, encrypted: bool) {
        let fixture = self.fixture();
        assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, 50);
        let log = self.pair.source.log();
        let authorized = format!("connection authorized: user=reader database={}", fixture.db);
        let mut lines = log.lines().filter(|line| line.contains(&authorized)).peekable();
        assert!(lines.peek().is_some(), "a connection to {} in the log", fixture.db);
        for line in lines {
            assert_eq!(line.contains("SSL enabled"), encrypted, "{line}");
        }
    }

    /// Refused in words that contain `said`, with no connection let in.
    fn assert_refused(&self, said: &str) {
        let fixture = self.fixture();
        let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
        let words = whole_text(&refused).to_lowercase();
        assert!(words.contains(said), "{said:?} in {words}");
        assert!(refused.hint().is_some(), "a hint in {words}");
        let authorized = format!("connection authorized: user=reader database={}", fixture.db);
        assert!(!self.pair.source.log().contains(&authorized), "a connection was let in");
    }
}

fn with_tls<'a>(sslmode: &'a str, host: &'a str, authority: Option<&'a str>) -> Reach<'a> {
    Reach { pair: &sources().with_tls, sslmode, host, authority }
}

fn without_tls(sslmode: &str) -> Reach<'_> {
    Reach {
        pair: &sources().without_tls,
        sslmode,
        host: RIGHT_HOST,
        authority: Some("trusted.pem"),
    }
}

#[test]
fn disable_does_not_encrypt() {
    with_tls("disable", RIGHT_HOST, None).assert_connects(false);
}

#[test]
fn disable_connects_to_a_server_without_tls() {
    without_tls("disable").assert_connects(false);
}

#[test]
fn prefer_encrypts_where_the_server_can() {
    with_tls("prefer", WRONG_HOST, None).assert_connects(true);
}

#[test]
fn prefer_connects_to_a_server_without_tls() {
    without_tls("prefer").assert_connects(false);
}

#[test]
fn require_encrypts_and_asks_nothing() {
    with_tls("require", WRONG_HOST, None).assert_connects(true);
}

#[test]
fn an_address_alone_connects_where_no_name_is_verified() {
    for sslmode in ["prefer", "require"] {
        with_tls(sslmode, "", None).assert_connects(true);
    }
    without_tls("disable").assert_connects(false);
}

#[test]
fn require_refuses_a_server_without_tls() {
    without_tls("require").assert_refused("tls");
}

#[test]
fn verify_ca_takes_a_known_authority_and_any_host() {
    with_tls("verify-ca", WRONG_HOST, Some("trusted.pem")).assert_connects(true);
}

#[test]
fn verify_ca_refuses_an_unknown_authority() {
    with_tls("verify-ca", RIGHT_HOST, Some("stranger.pem")).assert_refused("certificate");
}

#[test]
fn verify_ca_refuses_a_server_without_tls() {
    without_tls("verify-ca").assert_refused("tls");
}

#[test]
fn verify_full_takes_a_known_authority_and_the_right_host() {
    with_tls("verify-full", RIGHT_HOST, Some("trusted.pem")).assert_connects(true);
}

#[test]
fn verify_full_refuses_the_wrong_host() {
    with_tls("verify-full", WRONG_HOST, Some("trusted.pem")).assert_refused("certificate");
}

#[test]
fn verify_full_refuses_an_unknown_authority() {
    with_tls("verify-full", RIGHT_HOST, Some("stranger.pem")).assert_refused("certificate");
}

#[test]
fn verify_full_refuses_an_authority_that_only_the_system_might_know() {
    with_tls("verify-full", RIGHT_HOST, None).assert_refused("certificate");
}

#[test]
fn verify_full_refuses_a_server_without_tls() {
    without_tls("verify-full").assert_refused("tls");
}

#[test]
fn a_root_certificate_that_cannot_be_read_is_named() {
    with_tls("verify-full", RIGHT_HOST, Some("missing.pem")).assert_refused("missing.pem");
}
