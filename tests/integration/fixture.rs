//! What tests stand on: servers that start in a second and are gone when the test ends, a source
//! table and a stage target with known contents, and the comparison of both sides as multisets.
//!
//! A test asks for a [`Fixture`], pulls with a [`Pull`], and compares with
//! [`Fixture::assert_same_rows`].

mod calling;
mod certificates;
mod cluster;
mod compare;
mod deduping;
mod disguise;
mod pair;
mod pooler;
mod psql;
mod pull;
mod raw_client;
mod relay;
mod repairing;
mod rows;
mod running;
mod server;
mod session;
mod skip;
mod small_disk;
mod standby;
mod stopping;
mod upgraded;
mod upgrading;
mod version;
mod wait;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use pair::{READER, SOURCE, STAGE};

pub use calling::{Calling, try_call};
pub use certificates::Authority;
pub use cluster::Cluster;
pub use deduping::{DEDUP, dedup, try_dedup};
pub use disguise::Disguise;
pub use pair::{Pair, READER_PASSWORD, TRUSTED};
pub use pooler::Pooler;
pub use pull::{Pull, Pulled};
pub use raw_client::RawClient;
pub use relay::{Relay, Way};
pub use repairing::{Repair, Repaired};
pub use rows::Rows;
pub use running::Running;
pub use server::{Server, ServerPlan};
pub use session::{Notices, refusal, whole_text};
pub use skip::skip;
pub use small_disk::SmallDisk;
pub use stopping::Stepwise;
pub use version::Version;
pub use wait::{await_some, await_that};

/// The period of all rows that a source has by default, as arguments.
pub const EVERYTHING: &str = "'2025-03-01', '2025-08-01'";

/// How soon after its end a run must have left both servers.
const QUIET_WITHIN: Duration = Duration::from_secs(5);

/// A filled source database and an empty stage database of the same name, connected by the server
/// `lrs_source` and a user mapping.
pub struct Fixture {
    pub pair: Pair,
    pub db: String,
}

impl Fixture {
    /// A fixture on the shared servers.
    pub fn with(rows: &Rows) -> Fixture {
        Fixture::on(Pair::shared(), rows)
    }

    pub fn on(pair: Pair, rows: &Rows) -> Fixture {
        let fixture = Fixture::bare(pair);
        rows.fill(&mut fixture.source());
        fixture.connect_stage_to_source("");
        fixture
    }

    /// Both tables, empty, and no server in the stage yet.
    pub fn bare(pair: Pair) -> Fixture {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let db = format!("fixture_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        pair.source.create_database(&db, SOURCE);
        pair.stage.create_database(&db, STAGE);
        Fixture { pair, db }
    }

    /// `create server` and `create user mapping` for the superuser; `more_options` begin with a
    /// comma.
    pub fn connect_stage_to_source(&self, more_options: &str) {
        let sql = format!(
            "create server lrs_source foreign data wrapper lrs_extract options ({} {more_options});
             create user mapping for current_user server lrs_source options ({})",
            self.server_options(),
            self.mapping_options(),
        );
        self.stage().batch_execute(&sql).expect("the server and the mapping");
    }

    /// Where the source is, as options of a foreign server.
    pub fn server_options(&self) -> String {
        format!(
            "host '{}', port '{}', dbname '{}', sslmode 'disable'",
            self.pair.source.home().display(),
            self.pair.source.port(),
            self.db
        )
    }

    /// Who reads there, as options of a user mapping.
    pub fn mapping_options(&self) -> String {
        format!("user '{READER}', password '{READER_PASSWORD}'")
    }

    /// A superuser's connection to the source database.
    pub fn source(&self) -> Client {
        self.pair.source.connect(&self.db)
    }

    /// A superuser's connection to the stage database.
    pub fn stage(&self) -> Client {
        self.pair.stage.connect(&self.db)
    }

    /// A superuser's connection to the stage database whose notices are kept.
    pub fn stage_with_notices(&self) -> (Client, Notices) {
        let mut config = self.pair.stage.address(&self.db);
        config.user("postgres");
        Notices::heard_by(&config)
    }

    /// A connection to the stage as someone else, who shows a password.
    pub fn stage_as(&self, role: &str, password: &str) -> Client {
        let mut config = self.pair.stage.address(&self.db);
        config.user(role).password(password).connect(NoTls).expect("the role may log in")
    }

    /// One value that `sql` selects on the stage, as text.
    pub fn stage_value(&self, sql: &str) -> String {
        value(&mut self.stage(), sql)
    }

    /// One value that `sql` selects on the source, as text.
    pub fn source_value(&self, sql: &str) -> String {
        value(&mut self.source(), sql)
    }

    /// Runs `sql` on the stage.
    pub fn on_stage(&self, sql: &str) {
        self.stage().batch_execute(sql).expect("the stage does it");
    }

    /// Vacuums the target until no dead row is left: a session that has just begun on the same server may hold some
    /// back, whatever its database.
    pub fn vacuum_target(&self) {
        await_that("all dead rows are removed", Duration::from_secs(60), || {
            let (mut session, notices) = self.stage_with_notices();
            let vacuum = "vacuum (verbose, truncate false) pipeline.aidt_raw";
            session.batch_execute(vacuum).expect("vacuum");
            let said = notices.all().join(" ");
            // To 14, and from 15 on.
            let left =
                [" dead row versions cannot be removed yet", " are dead but not yet removable"]
                    .iter()
                    .flat_map(|words| {
                        said.match_indices(words).map(|(at, _)| said[..at].ends_with(" 0"))
                    })
                    .collect::<Vec<_>>();
            !left.is_empty() && left.iter().all(|none| *none)
        });
    }

    /// Runs `sql` on the source.
    pub fn on_source(&self, sql: &str) {
        self.source().batch_execute(sql).expect("the source does it");
    }

    /// Has the sessions to come on the stage do to INSERT … SELECT what a server does that distributes tables,
    /// as a setting of the library for tests says.
    pub fn stand_in(&self, setting: &str) {
        let database = &self.db;
        self.on_stage(&format!(
            "alter database \"{database}\" set lrs_extract_test.{setting} = on"
        ));
    }

    /// Makes every flush into the target take at least `milliseconds`, so that there is a run to
    /// disturb.
    pub fn slow_target(&self, milliseconds: u32) {
        self.linger_after("insert", &format!("perform pg_sleep({milliseconds} / 1000.0)"));
    }

    /// Has each statement of that kind on the target run `plpgsql` at its end.
    fn linger_after(&self, statement: &str, plpgsql: &str) {
        self.on_stage(&format!(
            "create function pipeline.linger() returns trigger language plpgsql as
                 $$ begin {plpgsql}; return null; end $$;
             create trigger linger after {statement} on pipeline.aidt_raw
                 for each statement execute function pipeline.linger()"
        ));
    }

    pub fn quick_target(&self) {
        self.on_stage("drop trigger linger on pipeline.aidt_raw");
    }

    /// Makes every row that the reader reads take so many seconds.
    pub fn slow_source(&self, seconds: &str) {
        self.on_source(&format!(
            "create function acid.dawdle() returns boolean language plpgsql volatile as
                 $$ begin perform pg_sleep({seconds}); return true; end $$"
        ));
        self.call_when_read("acid.dawdle()");
    }

    /// Has the source call a function, which must return true, when the reader reads rows: a row
    /// security policy sees to it, for each row, or once a statement where the function is stable.
    pub fn call_when_read(&self, call: &str) {
        self.on_stage("alter server lrs_source options (add row_security 'on')");
        self.on_source(&format!(
            "do $$ declare part regclass; begin
                 for part in select 'acid.lrs_statement_new'::regclass union
                             select inhrelid::regclass from pg_inherits
                             where inhparent = 'acid.lrs_statement_new'::regclass
                 loop
                     execute format('alter table %s enable row level security', part);
                     execute format('create policy called on %s using ({call})', part);
                 end loop;
             end $$"
        ));
    }

    /// From now on the stage reads as a role of this fixture whose connections the source refuses.
    pub fn turn_the_reader_away(&self) {
        let role = self.refused_reader();
        self.on_source(&format!(
            "create role {role} login password '{READER_PASSWORD}' in role {READER} connection limit 0"
        ));
        self.on_stage(&format!(
            "alter user mapping for current_user server lrs_source options (set user '{role}')"
        ));
    }

    /// Waits until the source has refused that role, and lets it in.
    pub fn let_the_reader_in_after_a_refusal(&self) {
        let role = self.refused_reader();
        await_that("the reader is turned away", Duration::from_secs(20), || {
            let turned_away = format!("too many connections for role \"{role}\"");
            self.pair.source.log().contains(&turned_away)
        });
        self.on_source(&format!("alter role {role} connection limit -1"));
    }

    fn refused_reader(&self) -> String {
        format!("{}_reader", self.db)
    }

    /// How many batches all runs together have committed.
    pub fn committed_batches(&self) -> i64 {
        self.stage_value("select count(*) from lrs_extract.batch").parse().expect("a count")
    }

    pub fn await_another_batch(&self) {
        let before = self.committed_batches();
        let limit = Duration::from_secs(20);
        await_that("another batch is committed", limit, || self.committed_batches() > before);
    }

    /// No worker on the stage and no backend on the source belongs to this fixture any more.
    pub fn assert_nothing_left_running(&self) {
        let mut stage = self.stage();
        let mut source = self.source();
        let mut running = String::new();
        let deadline = Instant::now() + QUIET_WITHIN;
        while Instant::now() < deadline {
            running = value(&mut stage, include_str!("fixture/sql/workers.sql"))
                + &value(&mut source, include_str!("fixture/sql/source_backends.sql"));
            if running.is_empty() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        panic!("still running after {QUIET_WITHIN:?}: {running}");
    }

    /// The newest run's state, as the view shows it.
    pub fn last_run_state(&self) -> String {
        self.stage_value("select state from lrs_extract.runs order by run_id desc limit 1")
    }

    /// Pulls March to July in batches of 5,000 and expects no refusal.
    pub fn pull_all(&self) -> Pulled {
        Pull::everything().batch(5_000).run(&mut self.stage())
    }
}

fn value(client: &mut Client, sql: &str) -> String {
    let wrapped = format!("select ({sql})::text");
    let row = client.query_one(&wrapped, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    row.get::<_, Option<String>>(0).unwrap_or_default()
}
