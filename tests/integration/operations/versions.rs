//! The library works with SQL objects of its own version alone.

use std::time::Duration;

use crate::fixture::{Fixture, Pair, Pull, Rows, await_that, refusal, whole_text};

const LIBRARY: &str = env!("CARGO_PKG_VERSION");

impl Fixture {
    /// The catalog says that the objects are of that version.
    fn pretend(&self, version: &str) {
        self.on_stage(&format!(
            "update pg_extension set extversion = '{version}' where extname = 'lrs_extract'"
        ));
    }
}

/// A call of each function that the library has, but for the wrapper's validator.
fn calls(fixture: &Fixture) -> Vec<String> {
    let rows = fixture
        .stage()
        .query(
            "select format('select * from %s(%s)%s', p.oid::regproc,
                           (select string_agg('null::' || format_type(t, null), ', ') from unnest(p.proargtypes) t),
                           case when p.prorettype = 'record'::regtype and p.proallargtypes is null
                                then ' as t (n int)' end)
               from pg_proc p
              where p.pronamespace = 'lrs_extract'::regnamespace
                and p.prolang = (select oid from pg_language where lanname = 'c')
                and p.proname <> 'validate_options'
              order by 1",
            &[],
        )
        .expect("the functions");
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn every_function_refuses_objects_of_another_version() {
    let fixture = Fixture::bare(Pair::shared());
    let calls = calls(&fixture);
    assert!(calls.len() >= 9, "{calls:?}");
    for (version, hint) in [
        ("0.1.0", "alter extension lrs_extract update;"),
        ("99.1.0", "install the package of version 99.1.0"),
    ] {
        fixture.pretend(version);
        for call in &calls {
            let refused = refusal(fixture.stage().query(call.as_str(), &[]));
            let text = whole_text(&refused);
            assert_eq!(refused.code().code(), "55000", "{call}: {text}");
            assert!(refused.hint().is_some_and(|it| it.contains(hint)), "{call}: {text}");
            let detail = refused.detail().unwrap_or_default();
            assert!(detail.contains(version) && detail.contains(LIBRARY), "{call}: {text}");
        }
    }
}

#[test]
fn an_open_transaction_sees_the_version_of_now() {
    let fixture = Fixture::bare(Pair::shared());
    let mut stage = fixture.stage();
    stage.batch_execute("begin isolation level repeatable read; select 1").expect("a snapshot");
    fixture.pretend("0.1.0");
    let refused = refusal(stage.query("select lrs_extract.cancel(1)", &[]));
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
}

#[test]
fn a_worker_refuses_objects_that_were_updated_since_the_call_began() {
    let fixture = Fixture::with(&Rows::of(100));
    let mut source = fixture.source();
    let mut lock = source.transaction().expect("a transaction");
    lock.batch_execute("lock table acid.lrs_statement_new").expect("the source waits");
    let mut stage = fixture.stage();
    let call = std::thread::spawn(move || Pull::everything().try_run(&mut stage));
    let waiting = "select count(*) from pg_locks where not granted
                      and database = (select oid from pg_database where datname = current_database())";
    await_that("the plan waits", Duration::from_secs(20), || fixture.source_value(waiting) != "0");
    fixture.pretend("99.1.0");
    lock.rollback().expect("the source goes on");
    let refused = refusal(call.join().expect("the call's thread"));
    assert_eq!(refused.code().code(), "55000", "{}", whole_text(&refused));
    assert!(whole_text(&refused).contains("99.1.0"), "{}", whole_text(&refused));
    fixture.assert_nothing_left_running();
    assert_eq!(fixture.target_rows(), 0);
}
