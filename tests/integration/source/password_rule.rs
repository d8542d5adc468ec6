//! A caller who is no superuser connects where the source asks for a password: on each connection.

use std::time::Duration;

use crate::fixture::{
    Fixture, Pair, Pull, READER_PASSWORD, Relay, Rows, ServerPlan, TRUSTED, Version, Way, refusal,
    whole_text,
};

/// A pull by a role that is no superuser, through a relay that leads the first connections to where the
/// password is asked for, and the others to where it is not.
fn pull_through(asked: usize) -> Result<i64, String> {
    let source =
        ServerPlan::of(Version::source()).listening().access(&format!("local all {TRUSTED} trust"));
    let pair = Pair::of(source, ServerPlan::of(Version::stage()));
    let fixture = Fixture::on(pair, &Rows::of(100));
    let (socket, port) = (Way::socket_of(&fixture.pair.source), fixture.pair.source.port());
    let relay = Relay::new(Duration::ZERO, move |n| match n < asked {
        true => Way::Tcp(port),
        false => socket.clone(),
    });
    fixture.read_through(&relay);
    fixture.on_stage(&format!(
        "create role analyst login password 'x'; grant usage on schema lrs_extract, pipeline to analyst;
         grant execute on all functions in schema lrs_extract to analyst;
         grant usage on foreign server lrs_source to analyst;
         grant insert on pipeline.aidt_raw to analyst;
         create user mapping for analyst server lrs_source
             options (user '{TRUSTED}', password '{READER_PASSWORD}')"
    ));
    let pulled = Pull::everything().jobs(1).try_run(&mut fixture.stage_as("analyst", "x"));
    let arrived = fixture.target_rows();
    match pulled {
        Ok(pulled) => Ok(pulled.rows),
        Err(error) => {
            assert_eq!(arrived, 0, "rows came on a connection without a password");
            Err(whole_text(&refusal::<()>(Err(error))))
        }
    }
}

#[test]
fn each_connection_is_one_on_which_the_source_asks_for_the_password() {
    assert_eq!(pull_through(usize::MAX), Ok(100));
    for asked in [0, 1] {
        let words = pull_through(asked).expect_err("refused");
        assert!(words.contains("2F003") && words.contains("password"), "{asked}: {words}");
    }
}
