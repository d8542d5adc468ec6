//! After an update, the catalog has what a fresh install has, object by object.

use std::collections::BTreeSet;

use postgres::Client;

use crate::fixture::{Fixture, Pair, Rows};

type Facts = BTreeSet<String>;

fn facts(client: &mut Client) -> Facts {
    let rows = client.query(include_str!("../../fixture/sql/catalog.sql"), &[]).expect("facts");
    rows.iter().map(|row| row.get(0)).collect()
}

/// What either side alone has, one a line.
fn differences(updated: &Facts, fresh: &Facts) -> Vec<String> {
    let updated_alone = updated.difference(fresh).map(|fact| format!("updated: {fact}"));
    let fresh_alone = fresh.difference(updated).map(|fact| format!("fresh:   {fact}"));
    updated_alone.chain(fresh_alone).collect()
}

#[test]
fn an_update_leaves_what_a_fresh_install_has() {
    for left_behind in [Fixture::of_0_1_0(&Rows::of(0)), Fixture::left_by_0_1_0()] {
        let Some(updated) = left_behind else { return };
        updated.update_extension();
        let fresh = facts(&mut Fixture::bare(Pair::shared()).stage());
        let differing = differences(&facts(&mut updated.stage()), &fresh);
        assert!(differing.is_empty(), "{}", differing.join("\n"));
    }
}

#[test]
fn every_kind_of_difference_is_seen() {
    let mut stage = Fixture::bare(Pair::shared()).stage();
    let fresh = facts(&mut stage);
    assert!(fresh.len() > 400, "{} facts", fresh.len());
    let spoiled = [
        ("relation", "alter table lrs_extract.slice set (fillfactor = 90)"),
        ("relation", "grant select on lrs_extract.run to public"),
        ("relation", "create table lrs_extract.another ()"),
        ("column", "alter table lrs_extract.pipeline alter walk set default 'key'"),
        ("column", "alter table lrs_extract.pipeline alter time_zone drop not null"),
        ("column", "alter table lrs_extract.difference alter pulled type int"),
        ("column", "alter table lrs_extract.run add column another int"),
        ("constraint", "alter table lrs_extract.run drop constraint run_kind_check"),
        ("constraint", "alter table lrs_extract.run rename constraint run_kind_check to other"),
        ("index", "drop index lrs_extract.slice_scan_idx"),
        ("sequence", "alter sequence lrs_extract.heap_scan_id_seq increment 2"),
        ("function", "alter function lrs_extract.keep_pipeline_id() stable"),
        ("function", "alter function lrs_extract.keep_pipeline_id() reset all"),
        (
            "function",
            "grant execute on function lrs_extract.report(bigint, text) to public",
        ),
        (
            "function",
            "create or replace function lrs_extract.report(run_id bigint, format text default 'html')
             returns text language c as '$libdir/lrs_extract', 'report_wrapper'",
        ),
        (
            "function",
            "create or replace function lrs_extract.keep_pipeline_id() returns trigger language plpgsql
             set search_path = pg_catalog, pg_temp as 'begin return new; end'",
        ),
        (
            "view",
            "create or replace view lrs_extract.workers as
             select run_id, pid, slice_no, partition, doing, since, retries, last_error
               from (select null::bigint as run_id, 0 as pid, 0 as slice_no, ''::text as partition, ''::text as doing,
                            now() as since, 0 as retries, ''::text as last_error) w",
        ),
        ("trigger", "drop trigger keep_pipeline_id on lrs_extract.pipeline"),
        ("trigger", "alter table lrs_extract.pipeline disable trigger keep_pipeline_id"),
        ("comment", "comment on table lrs_extract.run is 'other'"),
        ("comment", "comment on column lrs_extract.run.kind is null"),
        ("comment", "comment on trigger keep_pipeline_id on lrs_extract.pipeline is null"),
        ("comment", "comment on function lrs_extract.report(bigint, text) is null"),
        ("shipped privileges", "delete from pg_init_privs where privtype = 'e'"),
        (
            "dumped",
            "update pg_extension set extconfig = extconfig[2:], extcondition = extcondition[2:]
              where extname = 'lrs_extract'",
        ),
        ("member", "alter extension lrs_extract drop table lrs_extract.difference"),
        ("wrapper", "grant usage on foreign data wrapper lrs_extract to public"),
        ("schema", "grant usage on schema lrs_extract to public"),
        ("extension", "update pg_extension set extversion = '0' where extname = 'lrs_extract'"),
    ];
    for (kind, spoil) in spoiled {
        let mut transaction = stage.transaction().expect("a transaction");
        transaction.batch_execute(spoil).unwrap_or_else(|error| panic!("{spoil}: {error:?}"));
        let rows = transaction
            .query(include_str!("../../fixture/sql/catalog.sql"), &[])
            .expect("the facts");
        let found = differences(&rows.iter().map(|row| row.get(0)).collect(), &fresh);
        let seen = found.iter().any(|line| line[9..].starts_with(kind));
        assert!(seen, "{spoil}: {found:#?}");
        transaction.rollback().expect("rolled back");
    }
}
