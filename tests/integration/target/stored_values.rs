//! What lies in the target's pages: compressed as the column or the settings ask, out of line where
//! it is large, laid out as the server's own input would have been, and sound.

mod sound;

use std::collections::BTreeMap;

use crate::fixture::{Fixture, Pull, Pulled, Rows};

/// Kinds of statements that every compressing storage compresses, whatever the method.
const COMPRESSIBLE: [&str; 3] = ["answer", "flood", "same"];
/// Kinds that a page does not hold, compressed or not.
const LARGE: [&str; 2] = ["hex", "noise"];

/// How the statements of one kind are stored.
#[derive(Debug)]
struct Stored {
    rows: i64,
    bytes: i64,
    /// The compression methods met among them; `none` is one.
    methods: String,
}

/// A fixture whose source holds a few statements of every size.
fn fixture_of_every_size() -> Fixture {
    let fixture = Fixture::with(&Rows::of(0));
    fixture.on_source(include_str!("../fixture/sql/statements_of_every_size.sql"));
    fixture
}

/// The methods that the stage can be asked for: none before 14, and lz4 where it was built with it.
fn methods_to_ask_for(fixture: &Fixture) -> Vec<String> {
    let known = "select array_to_string(enumvals, ' ') from pg_settings
                 where name = 'default_toast_compression'";
    fixture.stage_value(known).split_whitespace().map(str::to_owned).collect()
}

/// Runs `check` on an empty target for each method that its column can ask for, and at least once.
fn for_each_method(fixture: &Fixture, mut check: impl FnMut(&str)) {
    let methods = methods_to_ask_for(fixture);
    if methods.is_empty() {
        check("pglz");
    }
    for method in methods {
        empty_target(fixture);
        fixture.on_stage(&format!(
            "alter table pipeline.aidt_raw alter \"statement\" set compression {method}"
        ));
        check(&method);
    }
}

fn empty_target(fixture: &Fixture) {
    fixture.on_stage(
        "truncate pipeline.aidt_raw, lrs_extract.reject;
         select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')",
    );
}

fn set_storage(fixture: &Fixture, storage: &str) {
    fixture.on_stage(&format!(
        "alter table pipeline.aidt_raw alter \"statement\" set storage {storage}"
    ));
}

/// Pulls in a session with these settings, and everything by the fast path.
fn pull_in_session(fixture: &Fixture, settings: &str) -> Pulled {
    let mut stage = fixture.stage();
    stage.batch_execute(settings).expect("the settings");
    let pulled = Pull::everything().batch(50).run(&mut stage);
    assert_eq!(fixture.stage_value("select sum(fallbacks) from lrs_extract.batch"), "0");
    pulled
}

/// Pulls the same rows into `pipeline.by_server`, a table like the target, whose jsonb and
/// compression are the server's work.
fn pull_by_the_server(fixture: &Fixture) {
    fixture.on_stage(
        "drop table if exists pipeline.by_server;
         create table pipeline.by_server (like pipeline.aidt_raw including all);
         update lrs_extract.pipeline set target_table = 'pipeline.by_server'",
    );
    let mut stage = fixture.stage();
    stage.batch_execute("set lrs_extract.fast_jsonb = off").expect("the setting");
    Pull::everything().again().run(&mut stage);
    fixture.on_stage("update lrs_extract.pipeline set target_table = 'pipeline.aidt_raw'");
}

/// How `table` stores the statements, by their kind.
fn stored(fixture: &Fixture, table: &str) -> BTreeMap<String, Stored> {
    let method = if methods_to_ask_for(fixture).is_empty() {
        // 13 has no name for it; a value that was taken apart and put together is as large as can be,
        // and one out of line is told without its header of four bytes.
        "case when pg_column_size(\"statement\") < pg_column_size(\"statement\" || '{}') - 4 then 'pglz' end"
    } else {
        "pg_column_compression(\"statement\")"
    };
    let sql = format!(
        "select \"statement\" ->> 'kind', count(*), sum(pg_column_size(\"statement\")),
                string_agg(distinct coalesce({method}, 'none'), ' ')
         from {table} group by 1"
    );
    let rows = fixture.stage().query(&sql, &[]).expect("the sizes");
    rows.iter()
        .map(|row| {
            (row.get(0), Stored { rows: row.get(1), bytes: row.get(2), methods: row.get(3) })
        })
        .collect()
}

/// How many statements of `table` lie in its toast table. The short fields that a server may put
/// there to make room are not counted.
fn out_of_line(fixture: &Fixture, table: &str) -> i64 {
    let find =
        format!("select reltoastrelid::regclass from pg_class where oid = '{table}'::regclass");
    let toast = fixture.stage_value(&find);
    let count = format!(
        "select count(*) from (select from {toast} group by chunk_id
                               having sum(length(chunk_data)) > 500) v"
    );
    fixture.stage_value(&count).parse().expect("a count")
}

fn assert_compressed_by(fixture: &Fixture, method: &str) {
    let found = stored(fixture, "pipeline.aidt_raw");
    for kind in COMPRESSIBLE {
        assert_eq!(found[kind].methods, method, "{kind}: {found:#?}");
    }
    for (kind, found) in found {
        let methods = [method, "none", &format!("{method} none")];
        assert!(methods.contains(&&*found.methods), "{kind}: {found:?}");
    }
}

/// The methods that the statements worth compressing were compressed by.
fn compressed_in(fixture: &Fixture, table: &str) -> String {
    let found = stored(fixture, table);
    let mut methods: Vec<&str> = COMPRESSIBLE
        .iter()
        .filter_map(|kind| found.get(*kind))
        .map(|kind| &*kind.methods)
        .collect();
    methods.dedup();
    methods.join(" ")
}

fn assert_same_room(ours: &BTreeMap<String, Stored>, theirs: &BTreeMap<String, Stored>) {
    assert!(ours.keys().eq(theirs.keys()), "{ours:#?}\n{theirs:#?}");
    for ((kind, ours), theirs) in ours.iter().zip(theirs.values()) {
        let words = format!("{kind}: {ours:?} here, {theirs:?} there");
        assert_eq!((ours.rows, &ours.methods), (theirs.rows, &theirs.methods), "{words}");
        assert!((ours.bytes - theirs.bytes).abs() * 20 <= theirs.bytes, "{words}");
    }
}

/// The target equals `pipeline.by_server` in its values, and in how they are stored.
fn assert_stored_as_by_the_server(fixture: &Fixture) {
    let (ours, theirs) = ("pipeline.aidt_raw", "pipeline.by_server");
    assert_same_room(&stored(fixture, ours), &stored(fixture, theirs));
    assert_eq!(out_of_line(fixture, ours), out_of_line(fixture, theirs), "values out of line");
    let columns = "id, user_id, object_type, \"statement\", \"timestamp\", flag, partner_id";
    let differing = format!(
        "select count(*) from (select {columns} from {ours} except all select {columns} from {theirs}) d"
    );
    assert_eq!(fixture.stage_value(&differing), "0");
}

#[test]
fn values_are_compressed_by_the_columns_method_whatever_the_setting_says() {
    let fixture = fixture_of_every_size();
    for setting in methods_to_ask_for(&fixture) {
        for_each_method(&fixture, |method| {
            pull_in_session(&fixture, &format!("set default_toast_compression = {setting}"));
            assert_compressed_by(&fixture, method);
            fixture.assert_all_rows();
        });
    }
}

#[test]
fn values_are_pglz_where_neither_column_nor_setting_says_anything() {
    let fixture = fixture_of_every_size();
    pull_in_session(&fixture, "");
    assert_compressed_by(&fixture, "pglz");
    fixture.assert_all_rows();
}

#[test]
fn values_are_compressed_by_the_setting_of_the_session() {
    let fixture = fixture_of_every_size();
    for method in methods_to_ask_for(&fixture) {
        for fast_jsonb in ["on", "off"] {
            empty_target(&fixture);
            let settings = format!(
                "set default_toast_compression = {method}; set lrs_extract.fast_jsonb = {fast_jsonb}"
            );
            pull_in_session(&fixture, &settings);
            assert_compressed_by(&fixture, &method);
            fixture.assert_all_rows();
        }
    }
}

#[test]
fn values_are_compressed_by_the_setting_of_the_transaction_that_pulls_itself() {
    let fixture = fixture_of_every_size();
    for method in methods_to_ask_for(&fixture) {
        empty_target(&fixture);
        let mut stage = fixture.stage();
        let mut transaction = stage.transaction().expect("a transaction");
        transaction
            .batch_execute(&format!(
                "set local default_toast_compression = {method}; select {}",
                Pull::everything().commit("caller").call()
            ))
            .expect("the pull");
        transaction.commit().expect("the commit");
        assert_compressed_by(&fixture, &method);
        fixture.assert_all_rows();
    }
}

#[test]
fn values_are_compressed_by_the_setting_of_the_database() {
    let fixture = fixture_of_every_size();
    for method in methods_to_ask_for(&fixture) {
        empty_target(&fixture);
        let db = &fixture.db;
        fixture.on_stage(&format!("alter database {db} set default_toast_compression = {method}"));
        pull_in_session(&fixture, "");
        assert_compressed_by(&fixture, &method);
        fixture.assert_all_rows();
    }
}

#[test]
fn values_are_compressed_by_the_setting_of_the_role_before_that_of_the_database() {
    let fixture = fixture_of_every_size();
    for method in methods_to_ask_for(&fixture) {
        empty_target(&fixture);
        let db = &fixture.db;
        fixture.on_stage(&format!(
            "alter database {db} set default_toast_compression = pglz;
             alter role postgres in database {db} set default_toast_compression = {method}"
        ));
        pull_in_session(&fixture, "");
        assert_compressed_by(&fixture, &method);
        fixture.assert_all_rows();
    }
}

/// A target of two partitions, of which one takes the first half of the statements.
fn partitioned_target(fixture: &Fixture) {
    fixture.on_stage(
        "create table pipeline.parted (like pipeline.aidt_raw including all) partition by range (\"timestamp\");
         drop table pipeline.aidt_raw;
         alter table pipeline.parted rename to aidt_raw;
         create table pipeline.early partition of pipeline.aidt_raw
             for values from ('2025-03-01') to ('2025-04-01 03:00+00');
         create table pipeline.late partition of pipeline.aidt_raw default",
    );
}

#[test]
fn partitions_compress_by_their_own_columns_methods() {
    let fixture = fixture_of_every_size();
    partitioned_target(&fixture);
    let methods = methods_to_ask_for(&fixture);
    for (early, late) in methods.iter().flat_map(|one| methods.iter().map(move |two| (one, two))) {
        empty_target(&fixture);
        fixture.on_stage(&format!(
            "alter table pipeline.early alter \"statement\" set compression {early};
             alter table pipeline.late alter \"statement\" set compression {late}"
        ));
        pull_in_session(&fixture, "");
        assert_eq!(compressed_in(&fixture, "pipeline.early"), *early);
        assert_eq!(compressed_in(&fixture, "pipeline.late"), *late);
        fixture.assert_all_rows();
    }
}

#[test]
fn partitions_store_values_by_their_own_columns_storage() {
    let fixture = fixture_of_every_size();
    partitioned_target(&fixture);
    fixture.on_stage("alter table pipeline.late alter \"statement\" set storage external");
    pull_in_session(&fixture, "");
    assert_eq!(compressed_in(&fixture, "pipeline.early"), "pglz");
    assert_eq!(compressed_in(&fixture, "pipeline.late"), "none");
    fixture.assert_all_rows();
}

#[test]
fn a_table_that_toasts_later_than_others_keeps_values_plain_until_then() {
    let fixture = fixture_of_every_size();
    fixture.on_stage("alter table pipeline.aidt_raw set (toast_tuple_target = 8160)");
    for fast_jsonb in ["off", "on"] {
        empty_target(&fixture);
        pull_in_session(&fixture, &format!("set lrs_extract.fast_jsonb = {fast_jsonb}"));
        let found = stored(&fixture, "pipeline.aidt_raw");
        assert_eq!(found["answer"].methods, "none", "fast_jsonb {fast_jsonb}");
        assert_eq!(found["flood"].methods, "pglz", "fast_jsonb {fast_jsonb}");
        fixture.assert_all_rows();
    }
}

#[test]
fn small_statements_are_not_compressed() {
    let fixture = fixture_of_every_size();
    for_each_method(&fixture, |_| {
        pull_in_session(&fixture, "");
        assert_eq!(stored(&fixture, "pipeline.aidt_raw")["small"].methods, "none");
    });
}

#[test]
fn large_statements_lie_out_of_line_and_compressible_ones_take_little_room() {
    let fixture = fixture_of_every_size();
    for_each_method(&fixture, |method| {
        pull_in_session(&fixture, "");
        let found = stored(&fixture, "pipeline.aidt_raw");
        let large: i64 = LARGE.iter().map(|kind| found[*kind].rows).sum();
        assert!(large > 0 && out_of_line(&fixture, "pipeline.aidt_raw") >= large, "{method}");
        for kind in LARGE {
            assert!(found[kind].bytes / found[kind].rows > 150_000, "{method}: {found:#?}");
        }
        assert!(found["same"].bytes / found["same"].rows < 2_000, "{method}: {found:#?}");
        assert!(found["flood"].bytes / found["flood"].rows < 20_000, "{method}: {found:#?}");
        fixture.assert_all_rows();
    });
}

fn assert_this_storage_is_as_the_server_does_it(storage: &str) {
    let fixture = fixture_of_every_size();
    set_storage(&fixture, storage);
    for_each_method(&fixture, |_| {
        pull_in_session(&fixture, "");
        fixture.assert_all_rows();
        pull_by_the_server(&fixture);
        assert_stored_as_by_the_server(&fixture);
    });
}

#[test]
fn storage_extended_is_as_the_server_does_it() {
    assert_this_storage_is_as_the_server_does_it("extended");
}

#[test]
fn storage_main_is_as_the_server_does_it() {
    assert_this_storage_is_as_the_server_does_it("main");
}

#[test]
fn storage_external_is_as_the_server_does_it() {
    assert_this_storage_is_as_the_server_does_it("external");
}

#[test]
fn storage_plain_is_as_the_server_does_it() {
    assert_this_storage_is_as_the_server_does_it("plain");
}

#[test]
fn storage_external_compresses_nothing() {
    let fixture = fixture_of_every_size();
    set_storage(&fixture, "external");
    for_each_method(&fixture, |_| {
        pull_in_session(&fixture, "");
        assert!(stored(&fixture, "pipeline.aidt_raw").values().all(|kind| kind.methods == "none"));
    });
}

#[test]
fn storage_plain_rejects_what_a_page_cannot_hold() {
    let fixture = fixture_of_every_size();
    set_storage(&fixture, "plain");
    let pulled = pull_in_session(&fixture, "");
    assert_eq!((pulled.rows, pulled.rejected), (300, 16));
    let found = stored(&fixture, "pipeline.aidt_raw");
    assert!(found.values().all(|kind| kind.methods == "none"), "{found:#?}");
    assert!(found.keys().eq(["answer", "small"]), "{found:#?}");
    let said = "select string_agg(distinct sqlstate, ' ') from lrs_extract.reject";
    assert_eq!(fixture.stage_value(said), "54000");
    fixture.assert_all_rows();
}
