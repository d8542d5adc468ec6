//! A target whose partitions are foreign tables on two further servers: sharding as the server
//! itself has it, by postgres_fdw. Where the stage's version was built without it, these tests say
//! so and prove nothing.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use postgres::Client;

use crate::fixture::{
    Fixture, Pair, Pull, Rows, Server, ServerPlan, Version, await_that, refusal, skip, whole_text,
};

const ROWS: i64 = 2_000;

/// Two servers that hold the shards, each in a database named as the fixture's.
type Shards = [Arc<Server>; 2];

struct ShardedFixture {
    fixture: Fixture,
    shards: Shards,
}

fn start_shards() -> Shards {
    [(); 2].map(|()| Arc::new(ServerPlan::of(Version::stage()).start()))
}

/// The shards that all tests share who harm none.
fn shared_shards() -> Shards {
    static SHARED: OnceLock<Shards> = OnceLock::new();
    SHARED.get_or_init(start_shards).clone()
}

const BY_HASH: [&str; 2] =
    ["for values with (modulus 2, remainder 0)", "for values with (modulus 2, remainder 1)"];
const BY_MONTH: [&str; 2] = [
    "for values from ('2025-03-01') to ('2025-05-01')",
    "for values from ('2025-05-01') to ('2025-08-01')",
];

impl ShardedFixture {
    /// `None`, with a word, where the stage has no postgres_fdw.
    fn new(
        shards: fn() -> Shards,
        partition_by: &str,
        bounds: [&str; 2],
    ) -> Option<ShardedFixture> {
        let has_fdw = "select count(*) from pg_available_extensions where name = 'postgres_fdw'";
        let pair = Pair::shared();
        let found: i64 =
            pair.stage.connect("postgres").query_one(has_fdw, &[]).expect("the extensions").get(0);
        if found == 0 {
            skip("this PostgreSQL was built without postgres_fdw");
            return None;
        }
        let rows = Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(4);
        let sharded = ShardedFixture { fixture: Fixture::on(pair, &rows), shards: shards() };
        sharded.fixture.on_stage(&format!(
            "create extension postgres_fdw;
             alter table pipeline.aidt_raw rename to shape;
             create table pipeline.aidt_raw (like pipeline.shape including defaults)
                 partition by {partition_by}"
        ));
        for (n, bound) in bounds.iter().enumerate() {
            sharded.add_shard(n, bound);
        }
        Some(sharded)
    }

    fn by_hash() -> Option<ShardedFixture> {
        ShardedFixture::new(shared_shards, "hash (id)", BY_HASH)
    }

    fn add_shard(&self, n: usize, bound: &str) {
        let (server, db) = (&self.shards[n], &self.fixture.db);
        let create = format!("create database {db}");
        server.connect("postgres").batch_execute(&create).expect("the shard's database");
        self.on_shard(
            n,
            "create schema pipeline;
             create table pipeline.shard (id uuid, user_id varchar, object_type varchar,
                 \"statement\" jsonb, \"timestamp\" timestamptz, inserted_at timestamptz,
                 flag char(1), partner_id text)",
        );
        self.fixture.on_stage(&format!(
            "create server shard_{n} foreign data wrapper postgres_fdw
                 options (host '{}', port '{}', dbname '{db}');
             create user mapping for current_user server shard_{n} options (user 'postgres');
             create foreign table pipeline.shard_{n} partition of pipeline.aidt_raw {bound}
                 server shard_{n} options (schema_name 'pipeline', table_name 'shard')",
            server.home().display(),
            server.port(),
        ));
    }

    fn shard(&self, n: usize) -> Client {
        self.shards[n].connect(&self.fixture.db)
    }

    fn on_shard(&self, n: usize, sql: &str) {
        self.shard(n).batch_execute(sql).expect("the shard does it");
    }

    fn rows_of_shards(&self) -> [i64; 2] {
        [0, 1].map(|n| {
            let count = self.shard(n).query_one("select count(*) from pipeline.shard", &[]);
            count.expect("a count").get(0)
        })
    }

    fn assert_all_rows_on_their_shards(&self) {
        self.fixture.assert_all_rows();
        let rows = self.rows_of_shards();
        assert!(rows.iter().all(|n| *n > ROWS / 4), "{rows:?}");
    }
}

fn pull() -> Pull {
    Pull::everything().batch(150)
}

#[test]
fn shards_by_hash_take_their_rows_batch_by_batch() {
    let Some(sharded) = ShardedFixture::by_hash() else { return };
    pull().run(&mut sharded.fixture.stage());
    sharded.assert_all_rows_on_their_shards();
    assert_eq!(sharded.fixture.pull_all().rows, 0);
}

#[test]
fn shards_by_hash_take_their_rows_slice_by_slice() {
    let Some(sharded) = ShardedFixture::by_hash() else { return };
    pull().commit("slice").run(&mut sharded.fixture.stage());
    sharded.assert_all_rows_on_their_shards();
}

#[test]
fn shards_by_month_take_their_rows_batch_by_batch() {
    let sharded = ShardedFixture::new(shared_shards, "range (\"timestamp\")", BY_MONTH);
    let Some(sharded) = sharded else { return };
    pull().run(&mut sharded.fixture.stage());
    sharded.assert_all_rows_on_their_shards();
}

#[test]
fn shards_by_month_take_their_rows_slice_by_slice() {
    let sharded = ShardedFixture::new(shared_shards, "range (\"timestamp\")", BY_MONTH);
    let Some(sharded) = sharded else { return };
    pull().commit("slice").run(&mut sharded.fixture.stage());
    sharded.assert_all_rows_on_their_shards();
}

#[test]
fn rows_in_the_callers_transaction_leave_the_shards_with_its_rollback() {
    let Some(sharded) = ShardedFixture::by_hash() else { return };
    let mut stage = sharded.fixture.stage();
    stage.batch_execute("begin").expect("begin");
    assert_eq!(pull().commit("caller").run(&mut stage).rows, ROWS);
    stage.batch_execute("rollback").expect("rollback");
    assert_eq!(sharded.rows_of_shards(), [0, 0]);
    pull().commit("caller").run(&mut stage);
    sharded.assert_all_rows_on_their_shards();
}

#[test]
fn shards_that_take_many_rows_at_a_time_take_each_once() {
    let Some(sharded) = ShardedFixture::by_hash() else { return };
    // The option came with 14.
    let refused = sharded.fixture.stage().batch_execute(
        "alter server shard_0 options (add batch_size '1000');
         alter server shard_1 options (add batch_size '1000')",
    );
    if let Err(error) = refused {
        assert_eq!(error.code().map(|code| code.code()), Some("HV00D"), "{error:?}");
        skip("this postgres_fdw has no option batch_size");
        return;
    }
    pull().run(&mut sharded.fixture.stage());
    sharded.assert_all_rows_on_their_shards();
}

#[test]
fn a_row_that_a_shard_refuses_is_set_aside_alone() {
    let Some(sharded) = ShardedFixture::by_hash() else { return };
    sharded.on_shard(
        1,
        "alter table pipeline.shard add constraint picky check ((\"statement\" ->> 'serial')::int % 100 <> 7)",
    );
    let pulled = pull().run(&mut sharded.fixture.stage());
    assert!(pulled.rejected > 0 && pulled.rejected <= ROWS / 100, "{pulled:?}");
    assert_eq!(pulled.rows + pulled.rejected, ROWS);
    sharded.assert_all_rows_on_their_shards();
}

#[test]
fn a_run_whose_shard_dies_ends_in_words_and_goes_on_when_it_is_back() {
    let Some(sharded) = ShardedFixture::new(start_shards, "hash (id)", BY_HASH) else { return };
    let fixture = &sharded.fixture;
    // Shut from the start, for all but the first batches: workers wait here before they write
    // anything, so the kill falls on no commit, and neither can be done before it.
    let mut gate = fixture.stage();
    gate.batch_execute(
        "create function pipeline.gate() returns trigger language plpgsql as
             'begin
                  if exists (select from lrs_extract.batch) then
                      perform pg_advisory_xact_lock_shared(4711);
                  end if;
                  return null;
              end';
         create trigger gate before insert on pipeline.aidt_raw
             for each statement execute function pipeline.gate();
         select pg_advisory_lock(4711)",
    )
    .expect("the gate is shut");
    let running = fixture.start_and_await_a_batch(&pull());
    await_that("the workers wait at the gate", Duration::from_secs(10), || {
        fixture.stage_value(
            "select count(*) from pg_locks where locktype = 'advisory' and not granted
             and database = (select oid from pg_database where datname = current_database())",
        ) == "2"
    });
    sharded.shards[1].kill();
    gate.batch_execute("select pg_advisory_unlock(4711)").expect("the gate is open");
    let refused = refusal(running.result());
    let words = whole_text(&refused);
    assert_eq!(&refused.code().code()[..2], "08", "{words}");
    assert!(words.contains("pipeline.aidt_raw"), "{words}");
    // 13's postgres_fdw does not connect again, and does not say whose connection it lost.
    let says_which = words.contains("server \"shard_1\"");
    assert!(says_which || words.contains("server closed the connection"), "{words}");
    assert_eq!(fixture.last_run_state(), "failed");
    sharded.shards[1].start_again();
    Pull::everything().batch(500).run(&mut fixture.stage());
    sharded.assert_all_rows_on_their_shards();
    fixture.assert_nothing_left_running();
}

/// Each source row's copies on the shards: how many have none, and how many there are too many.
fn missing_and_surplus(sharded: &ShardedFixture) -> (i64, i64) {
    let fixture = &sharded.fixture;
    let ids =
        fixture.stage_value("select count(distinct id) from pipeline.aidt_raw").parse::<i64>();
    let distinct = ids.expect("a count");
    (ROWS - distinct, fixture.target_rows() - distinct)
}

/// postgres_fdw commits on one shard after the other and on the stage at last, with no second
/// phase: a commit that fails in between leaves what the shards before it have committed.
#[test]
fn a_commit_that_a_shard_refuses_loses_nothing_and_doubles_no_more_than_the_batches_in_flight() {
    let Some(sharded) = ShardedFixture::by_hash() else { return };
    let mut surplus_before = 0;
    for n in [0, 1] {
        sharded.on_shard(
            n,
            "create function pipeline.refuse() returns trigger language plpgsql as
                 $$ begin raise exception 'no commit today' using errcode = '55000'; end $$;
             create constraint trigger refuse after insert on pipeline.shard
                 deferrable initially deferred for each row execute function pipeline.refuse()",
        );
        let refused = refusal(pull().try_run(&mut sharded.fixture.stage()));
        let words = whole_text(&refused);
        assert!(words.contains("no commit today"), "{words}");
        sharded.on_shard(n, "drop trigger refuse on pipeline.shard; drop function pipeline.refuse");
        sharded.fixture.assert_nothing_left_running();
    }
    pull().run(&mut sharded.fixture.stage());
    let (missing, surplus) = missing_and_surplus(&sharded);
    eprintln!("{surplus} rows twice");
    surplus_before += surplus;
    assert_eq!(missing, 0);
    // Two runs, two workers each, a batch of 150 and the ties of its last key.
    assert!(surplus_before <= 2 * 2 * 160, "{surplus_before} rows twice");
}
