//! Targets that Citus distributes, on a coordinator with two worker nodes. Where the PostgreSQL under test has
//! no Citus, these tests say so and prove nothing; `target/distributed.rs` stands in for it there.

use std::time::Duration;

use crate::fixture::{
    Cluster, EVERYTHING, Fixture, Pull, Repair, Rows, await_some, refusal, whole_text,
};

const BY_ID: &str = "select create_distributed_table('pipeline.aidt_raw', 'id')";
const BY_USER: &str = "select create_distributed_table('pipeline.aidt_raw', 'user_id')";
const REFERENCE: &str = "select create_reference_table('pipeline.aidt_raw')";
const LOCAL: &str = "select citus_add_local_table_to_metadata('pipeline.aidt_raw')";
const COLUMNAR: &str = "create extension citus_columnar;
                        select alter_table_set_access_method('pipeline.aidt_raw', 'columnar');
                        select create_distributed_table('pipeline.aidt_raw', 'id')";
const BY_MONTH: &str = "alter table pipeline.aidt_raw rename to shape;
    create table pipeline.aidt_raw (like pipeline.shape including defaults) partition by range (\"timestamp\");
    create table pipeline.spring partition of pipeline.aidt_raw for values from ('2025-03-01') to ('2025-06-01');
    create table pipeline.summer partition of pipeline.aidt_raw for values from ('2025-06-01') to ('2025-09-01');
    select create_distributed_table('pipeline.aidt_raw', 'id')";

/// Each way in which Citus keeps a table.
const SHAPES: [&str; 6] = [BY_ID, BY_USER, REFERENCE, LOCAL, COLUMNAR, BY_MONTH];

const ROWS: i64 = 2_000;

fn rows() -> Rows {
    Rows::of(ROWS).ties(4).actors_per_tie(2).nulls_every(5)
}

/// Source rows that have no value for the column by which `shape` distributes them: Citus refuses these.
fn rows_without(fixture: &Fixture, shape: &str) -> i64 {
    let value = match shape {
        BY_USER => {
            "coalesce(s #>> '{actor,account,name}', s #>> '{actor,mbox}',
                      s #>> '{actor,mbox_sha1sum}', s #>> '{actor,openid}')"
        }
        _ => "s ->> 'id'",
    };
    let sql =
        format!("select count(*) from acid.lrs_statement_new r (t, s, a) where {value} is null");
    fixture.source_value(&sql).parse().expect("a count")
}

#[test]
fn each_kind_of_table_takes_each_row_once_whatever_the_boundary() {
    let Some(cluster) = Cluster::shared() else { return };
    for shape in SHAPES {
        for boundary in ["batch", "slice", "caller"] {
            let fixture = cluster.fixture(&rows(), shape);
            let pulled = Pull::everything().batch(300).commit(boundary).run(&mut fixture.stage());
            assert_eq!(pulled.rows + pulled.rejected, ROWS, "{shape} {boundary}");
            assert_eq!(pulled.rejected, rows_without(&fixture, shape), "{shape} {boundary}");
            fixture.assert_all_rows();
            assert_eq!(fixture.pull_all().rows, 0, "{shape} {boundary}");
            fixture.assert_verified();
        }
    }
}

#[test]
fn bad_values_and_rows_without_a_distribution_value_are_set_aside() {
    let Some(cluster) = Cluster::shared() else { return };
    for shape in [BY_ID, REFERENCE, BY_MONTH] {
        let fixture = cluster.fixture(&rows().odd_ids_every(100), shape);
        let pulled = Pull::everything().batch(300).run(&mut fixture.stage());
        assert_eq!((pulled.rows, pulled.rejected), (ROWS - 20, 20), "{shape}");
        let states = "select string_agg(distinct sqlstate, ' ') from lrs_extract.reject";
        assert_eq!(fixture.stage_value(states), "22P02");
        fixture.assert_all_rows();
    }
    let fixture = cluster.fixture(&rows(), BY_ID);
    fixture.on_source(
        "update acid.lrs_statement_new set full_statement = full_statement - 'id'
          where (full_statement ->> 'serial')::int8 % 100 = 7",
    );
    let pulled = Pull::everything().batch(300).run(&mut fixture.stage());
    assert_eq!((pulled.rows, pulled.rejected), (ROWS - 20, 20));
    assert_eq!(rows_without(&fixture, BY_ID), 20);
    fixture.assert_all_rows();
    // With a value for them they come.
    fixture.on_stage(
        "update lrs_extract.pipeline set mapping = jsonb_set(mapping, '{id,default}',
           '\"00000000-0000-0000-0000-000000000000\"')",
    );
    let replayed =
        format!("select count(*) from lrs_extract.replay({EVERYTHING}) as r where r is not null");
    fixture.stage_value(&replayed);
    assert_eq!(fixture.stage_value("select count(*) from lrs_extract.reject"), "0");
    assert_eq!(fixture.target_rows(), ROWS);
}

#[test]
fn rows_that_break_a_constraint_are_set_aside_with_its_sqlstate() {
    let Some(cluster) = Cluster::shared() else { return };
    for shape in [BY_ID, REFERENCE] {
        let fixture = cluster.fixture(&rows(), shape);
        // Citus takes one at a time.
        fixture.on_stage("alter table pipeline.aidt_raw add constraint once unique (id)");
        fixture.on_stage(
            "alter table pipeline.aidt_raw add constraint known check (user_id <> 'nobody')",
        );
        fixture.on_source(
            "update acid.lrs_statement_new set full_statement =
               jsonb_set(full_statement, '{id}', '\"11111111-1111-1111-1111-111111111111\"')
              where (full_statement ->> 'serial')::int8 % 200 = 7;
             update acid.lrs_statement_new set full_statement =
               jsonb_set(full_statement, '{actor,account,name}', '\"nobody\"')
              where (full_statement ->> 'serial')::int8 % 200 = 9",
        );
        let nobodies = fixture.source_value(
            "select count(*) from acid.lrs_statement_new
              where full_statement #>> '{actor,account,name}' = 'nobody'",
        );
        let pulled = Pull::everything().batch(400).run(&mut fixture.stage());
        assert_eq!(pulled.rows + pulled.rejected, ROWS, "{shape}");
        let by_state = "select string_agg(sqlstate || ' ' || n, ', ' order by sqlstate)
                          from (select sqlstate, count(*) n from lrs_extract.reject group by 1) r";
        assert_eq!(fixture.stage_value(by_state), format!("23505 9, 23514 {nobodies}"), "{shape}");
        fixture.assert_all_rows();
    }
}

#[test]
fn what_came_late_or_went_is_repaired() {
    let Some(cluster) = Cluster::shared() else { return };
    for shape in [BY_ID, REFERENCE, LOCAL, BY_MONTH] {
        let fixture = cluster.fixture(&rows(), shape);
        fixture.pull_all();
        fixture.on_stage(
            "delete from pipeline.aidt_raw where (\"statement\" ->> 'serial')::int8 % 50 = 3",
        );
        assert_eq!(Repair::by_hashes().run(&fixture).pulled, ROWS / 50, "{shape}");
        fixture.assert_all_rows();
        let advice = fixture
            .stage_value("select count(*) from lrs_extract.bottleneck where advice is not null");
        assert_eq!(advice, "2");
        let report = fixture.stage_value("select lrs_extract.report(1)");
        assert!(report.contains("pipeline.aidt_raw"), "{report}");
    }
}

#[test]
fn rows_are_not_removed_by_places_that_name_others_on_each_node() {
    let Some(cluster) = Cluster::shared() else { return };
    for shape in SHAPES {
        let fixture = cluster.fixture(&rows(), shape);
        fixture.pull_all();
        Pull::everything().again().run(&mut fixture.stage());
        let dedup = format!("select lrs_extract.dedup({EVERYTHING})");
        let repair = format!("select * from {}", Repair::by_hashes().deleting().call());
        for call in [&dedup, &repair] {
            let refused = refusal(fixture.stage().batch_execute(call));
            assert_eq!(refused.code().code(), "0A000", "{shape} {}", whole_text(&refused));
            assert!(refused.hint().is_some(), "{refused:?}");
        }
        let twice = 2 * (ROWS - rows_without(&fixture, shape));
        assert_eq!(fixture.target_rows(), twice, "{shape}");
    }
}

/// Kills by `strike` while a slow pull is under way, and gets all rows by the same call.
fn assert_survives(shape: &str, strike: impl Fn(&Cluster, &Fixture)) {
    let Some(cluster) = Cluster::own() else { return };
    let fixture = cluster.fixture(&rows(), shape);
    fixture.on_stage("update lrs_extract.pipeline set retries = 3");
    fixture.slow_source("0.002");
    let pull = Pull::everything().batch(50);
    let running = fixture.start_and_await_a_batch(&pull);
    fixture.await_another_batch();
    strike(&cluster, &fixture);
    // It may have come through, or ended with an error; the same call goes on.
    let _ = running.result();
    await_some("the same call comes through", Duration::from_secs(60), || {
        pull.try_run(&mut fixture.stage()).ok()
    });
    // What a node held prepared when it died is there from now on.
    fixture.on_stage("select recover_prepared_transactions()");
    fixture.assert_all_rows();
    fixture.assert_verified();
}

#[test]
fn a_node_that_is_killed_loses_and_doubles_nothing() {
    for shape in [BY_ID, BY_USER, REFERENCE] {
        assert_survives(shape, |cluster, _| {
            cluster.nodes[1].kill();
            cluster.nodes[1].start_again();
        });
    }
}

#[test]
fn connections_to_a_node_that_are_lost_cost_a_retry() {
    for shape in [BY_ID, REFERENCE] {
        assert_survives(shape, |cluster, fixture| {
            let sql = format!(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity
                  where datname = '{}' and application_name like 'citus%'",
                fixture.db
            );
            cluster.nodes[0].connect("postgres").batch_execute(&sql).expect("terminated");
        });
    }
}

#[test]
fn a_coordinator_that_is_killed_loses_and_doubles_nothing() {
    for shape in [BY_ID, REFERENCE] {
        assert_survives(shape, |_, fixture| {
            fixture.pair.stage.kill();
            fixture.pair.stage.start_again();
        });
    }
}
