//! What `check` says of connections that no test can make: tests listen on this machine alone.

#[pgrx::pg_schema]
mod tests {
    use crate::check;
    use crate::source::{ConnectSpec, Protection, SessionFacts, SslMode};
    use pgrx::prelude::*;

    fn facts(protection: Protection, tls: Option<&str>) -> SessionFacts {
        SessionFacts {
            version: "16.1".to_owned(),
            is_standby: false,
            is_pooled: false,
            protection,
            tls: tls.map(str::to_owned),
            encoding: "UTF8".to_owned(),
            role: "reader".to_owned(),
            is_superuser: false,
            reads_all_stats: false,
            connection_limit: None,
            limits: Vec::new(),
        }
    }

    fn connect(sslmode: SslMode) -> ConnectSpec {
        ConnectSpec { server: "Far, away".to_owned(), sslmode, ..ConnectSpec::default() }
    }

    #[pg_test]
    fn a_connection_that_others_can_read_is_not_ok() {
        let row = check::tls(&facts(Protection::None, None), &connect(SslMode::Prefer));
        assert_eq!((row.name, row.ok), ("tls", Some(false)));
        assert!(row.found.contains("sslmode 'prefer'"), "{row:?}");
        // The server has no such option yet.
        let advice = "alter server \"Far, away\" options (add sslmode 'verify-full');";
        assert!(row.advice.is_some_and(|said| said.starts_with(advice)));
    }

    #[pg_test]
    fn an_encrypted_connection_says_how_far_it_is_verified() {
        let encrypted = facts(Protection::Encrypted, Some("TLSv1.3"));
        let row = check::tls(&encrypted, &connect(SslMode::Require));
        assert_eq!(row.ok, Some(true));
        assert!(row.found.contains("by TLSv1.3, who the server is is not verified"), "{row:?}");
        assert!(row.advice.is_some());
        let row = check::tls(&encrypted, &connect(SslMode::VerifyFull));
        assert_eq!((row.ok, row.advice), (Some(true), None));
        let pooled = SessionFacts { is_pooled: true, ..facts(Protection::Encrypted, None) };
        let row = check::tls(&pooled, &connect(SslMode::VerifyFull));
        assert!(
            row.found.contains("from the pooler to the server, it is not encrypted"),
            "{row:?}"
        );
    }

    #[pg_test]
    fn what_stays_on_this_machine_needs_no_encryption() {
        let row = check::tls(&facts(Protection::Local, None), &connect(SslMode::Disable));
        assert_eq!(row.ok, Some(true));
    }
}
