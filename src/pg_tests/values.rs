//! Values made in Rust against the server's own input functions.

#[pgrx::pg_schema]
mod tests {
    use crate::backend::transaction::Subtransaction;
    use crate::transform::value;
    use pgrx::prelude::*;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    fn runner() -> TestRunner {
        TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() })
    }

    /// What the server makes of `text` as a value of `target`, as text again.
    fn server(text: &str, target: &str) -> Result<Option<String>, String> {
        let sql = format!("select $1::{target}::text");
        Subtransaction::run(|| Spi::get_one_with_args::<String>(&sql, &[text.into()]).unwrap())
            .map_err(|failure| failure.sqlstate)
    }

    #[pg_test]
    fn uuids_are_read_as_the_server_reads_them() {
        let uuid = "\\{?([0-9a-fA-F]{4}-?){8}-?\\}?|[0-9a-fg{}-]{0,40}";
        runner()
            .run(&uuid, |text| {
                let ours = value::uuid(&text).map(pgrx::Uuid::from_bytes).map(|u| u.to_string());
                let servers = server(&text, "uuid").map(Option::unwrap_or_default);
                prop_assert_eq!(ours.map_err(|u| u.sqlstate.to_owned()), servers, "{}", text);
                Ok(())
            })
            .unwrap();
    }

    #[pg_test]
    fn texts_are_cut_and_refused_as_the_server_does() {
        // An explicit cast to varchar(n) cuts without a word; assignment is what an INSERT does.
        Spi::run("create table public.v (v varchar(4))").unwrap();
        runner()
            .run(&"[ab한𝄞 ]{0,8}", |text| {
                let ours = value::text(&text, Some(4)).map(str::to_owned);
                let sql = "insert into public.v values ($1) returning v";
                let servers = Subtransaction::run(|| {
                    Spi::get_one_with_args::<String>(sql, &[text.as_str().into()]).unwrap()
                });
                let servers = servers.map(Option::unwrap_or_default).map_err(|f| f.sqlstate);
                prop_assert_eq!(ours.map_err(|u| u.sqlstate.to_owned()), servers, "{:?}", text);
                Ok(())
            })
            .unwrap();
    }
}
