//! Whatever certificate a server has: where nothing is checked, nothing of it matters but its key.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::fixture::{
    Fixture, Pair, Pull, Rows, ServerPlan, Version, await_that, refusal, skip, whole_text,
};

/// A key and a certificate, PEM.
type Identity = (String, String);

/// One of version 1, self-signed, as `openssl x509 -req` makes it; `None` without openssl.
fn of_version_1(key: &str, validity: &[&str]) -> Option<Identity> {
    let folder = tempfile::tempdir().expect("a folder");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(&folder).args(arguments).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(())
    };
    let generate: Vec<_> = key.split(' ').collect();
    openssl(&[&["genpkey", "-out", "key.pem"][..], &generate].concat())?;
    openssl(&["req", "-new", "-key", "key.pem", "-subj", "/CN=elsewhere", "-out", "request.pem"])?;
    let sign = ["x509", "-req", "-in", "request.pem", "-signkey", "key.pem", "-out", "cert.pem"];
    openssl(&[&sign[..], validity].concat())?;
    let read = |name| fs::read_to_string(folder.path().join(name)).expect("a file");
    Some((read("key.pem"), read("cert.pem")))
}

const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const KEYS: [&str; 5] = [
    RSA,
    "-algorithm RSA -pkeyopt rsa_keygen_bits:4096",
    "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
    "-algorithm ed25519",
];

/// A fixture whose source shows that certificate, by TLS up to `highest`.
fn showing((key, certificate): Identity, highest: &str) -> Fixture {
    let source = ServerPlan::of(Version::source_with_tls())
        .listening()
        .setting("log_connections = on")
        .setting("ssl = on")
        .setting(&format!("ssl_max_protocol_version = '{highest}'"))
        .file("server.crt", certificate)
        .file("server.key", key)
        .start();
    let role = "create role reader login password 'correct horse'";
    source.connect("postgres").batch_execute(role).expect("the reader");
    let pair = Pair { source: Arc::new(source), stage: Pair::shared().stage };
    let fixture = Fixture::bare(pair);
    Rows::of(20).fill(&mut fixture.source());
    fixture.on_stage(&format!(
        "create server lrs_source foreign data wrapper lrs_extract options (
             host '127.0.0.1', port '{}', dbname '{}', sslmode 'require');
         create user mapping for current_user server lrs_source
             options (user 'reader', password 'correct horse');
         update lrs_extract.pipeline set retries = 0",
        fixture.pair.source.port(),
        fixture.db
    ));
    fixture
}

/// Has the source of that fixture show another certificate, by TLS up to another `highest`.
fn show(fixture: &Fixture, (key, certificate): &Identity, highest: &str) {
    let source = &fixture.pair.source;
    source.write_data_file("server.key", key);
    source.write_data_file("server.crt", certificate);
    source.set(&format!("ssl_max_protocol_version = '{highest}'"));
    // Who is let in after the reload shows the one by the other.
    await_that("the certificate is taken up", Duration::from_secs(10), || {
        fixture.source_value("current_setting('ssl_max_protocol_version')") == highest
    });
    let log = source.log();
    assert!(!log.contains("could not load") && !log.contains("was not reloaded"), "{log}");
}

fn assert_encrypted(fixture: &Fixture, sslmode: &str) {
    fixture.on_stage(&format!(
        "alter server lrs_source options (set sslmode '{sslmode}');
         select lrs_extract.forget('-infinity', 'infinity')"
    ));
    assert_eq!(Pull::everything().run(&mut fixture.stage()).rows, 20, "{sslmode}");
    let log = fixture.pair.source.log();
    let mut lines = log.lines().filter(|line| line.contains("authorized: user=reader"));
    assert!(lines.all(|line| line.contains("SSL enabled")), "{sslmode}: {log}");
}

#[test]
fn a_certificate_of_version_1_connects_where_nothing_is_checked() {
    let mut shown: Option<Fixture> = None;
    for key in KEYS {
        let Some(identity) = of_version_1(key, &["-days", "9"]) else {
            return skip("there is no openssl here");
        };
        for highest in ["TLSv1.3", "TLSv1.2"] {
            let fixture = match &shown {
                Some(fixture) => {
                    show(fixture, &identity, highest);
                    fixture
                }
                None => shown.insert(showing(identity.clone(), highest)),
            };
            assert_encrypted(fixture, "require");
            assert_encrypted(fixture, "prefer");
        }
    }
}

#[test]
fn who_has_not_the_key_of_a_certificate_is_refused_even_where_nothing_is_checked() {
    // Nothing of it is faked here: the server does not start with another's key. That the signature
    // is checked shows in a key that this side cannot check.
    let Some(identity) = of_version_1("-algorithm EC -pkeyopt ec_paramgen_curve:P-521", &[]) else {
        return skip("there is no openssl here");
    };
    let fixture = showing(identity, "TLSv1.3");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "08001", "{}", whole_text(&refused));
}

#[test]
fn a_certificate_of_version_1_is_no_proof_of_a_name() {
    let Some(identity) = of_version_1(RSA, &[]) else {
        return skip("there is no openssl here");
    };
    let fixture = showing(identity, "TLSv1.3");
    fixture.on_stage("alter server lrs_source options (set sslmode 'verify-full')");
    let refused = refusal(Pull::everything().try_run(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "08001", "{}", whole_text(&refused));
}
