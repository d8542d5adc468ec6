//! Hot standbys: servers that follow another one by streaming, and can be read meanwhile.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use super::{Lab, Server, await_that};

const CATCHES_UP_WITHIN: Duration = Duration::from_secs(20);

impl Server {
    /// A hot standby of this server, running; `settings` are lines of postgresql.conf.
    pub fn standby(&self, settings: &str) -> Server {
        let standby = self.beside();
        let copy = self
            .tool_of_owner("pg_basebackup")
            .args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--pgdata"])
            .arg(standby.data())
            .output()
            .expect("pg_basebackup runs");
        assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));
        let file = standby.data().join("postgresql.auto.conf");
        let mut text = fs::read_to_string(&file).expect("the copied settings");
        let _ = writeln!(
            text,
            "listen_addresses = ''\nport = {}\nunix_socket_directories = '{}'\n{settings}",
            standby.port(),
            standby.home().display()
        );
        fs::write(&file, text).expect("the standby's settings");
        standby.start_again();
        standby
    }

    /// Changes a setting that a reload is enough for.
    pub fn set(&self, setting: &str) {
        let mut client = self.connect("postgres");
        client.batch_execute(&format!("alter system set {setting}")).expect("alter system");
        client.batch_execute("select pg_reload_conf()").expect("reload");
    }

    /// Returns when this standby has replayed all that `primary` has written by now.
    pub fn await_replay_of(&self, primary: &Server) {
        let row =
            primary.connect("postgres").query_one("select pg_current_wal_insert_lsn()::text", &[]);
        let written: String = row.expect("the primary's position").get(0);
        let replayed = format!("select pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
        let mut client = self.connect("postgres");
        await_that("the standby has caught up", CATCHES_UP_WITHIN, || {
            client.query_one(&replayed, &[]).expect("the standby's position").get(0)
        });
    }
}

impl Lab {
    /// From now on the stage reads this server instead of the lab's source.
    pub fn read_from(&self, server: &Server) {
        self.on_stage(&format!(
            "alter server lrs_source options (set host '{}', set port '{}')",
            server.home().display(),
            server.port()
        ));
    }
}
