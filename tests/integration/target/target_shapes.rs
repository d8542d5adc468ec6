//! What else a target may be than a plain table: cut in other ways, watched by triggers, seen
//! through a view. The load is a plain INSERT … SELECT, so the server sees to all of it.

use crate::fixture::{Fixture, Pair, Pull, Rows};

const ROWS: i64 = 1_500;

fn rows() -> Rows {
    Rows::of(ROWS).ties(3).actors_per_tie(2).nulls_every(4)
}

/// A fixture whose target was changed by `sql` before the pull, which brought every row once.
fn pulled_into(sql: &str) -> Fixture {
    let fixture = Fixture::with(&rows());
    fixture.on_stage(sql);
    let pulled = Pull::everything().batch(100).run(&mut fixture.stage());
    assert_eq!(pulled.rows, ROWS, "the rows that the batches tell of");
    fixture.assert_all_rows();
    fixture
}

/// `pipeline.aidt_raw` anew, partitioned in this way.
fn partitioned(by: &str, partitions: &str) -> String {
    format!(
        "alter table pipeline.aidt_raw rename to shape;
         create table pipeline.aidt_raw (like pipeline.shape including defaults) partition by {by};
         {partitions}"
    )
}

/// Rows of each of these tables.
fn counts(fixture: &Fixture, tables: &[&str]) -> Vec<i64> {
    let count = |table: &&str| {
        fixture.stage_value(&format!("select count(*) from only {table}")).parse().expect("a count")
    };
    tables.iter().map(count).collect()
}

#[test]
fn a_target_partitioned_by_month_takes_each_row_to_its_month() {
    let months = ["03", "04", "05", "06"].map(|month| {
        format!(
            "create table pipeline.m{month} partition of pipeline.aidt_raw
                 for values from ('2025-{month}-01') to ('2025-0{}-01');",
            month.parse::<u32>().unwrap() + 1
        )
    });
    let rest = "create table pipeline.rest partition of pipeline.aidt_raw default;
                create index on pipeline.aidt_raw (\"timestamp\");
                create index on pipeline.aidt_raw (user_id, object_type);
                create index on pipeline.m04 using gin (\"statement\" jsonb_path_ops)";
    let fixture = pulled_into(&partitioned("range (\"timestamp\")", &(months.concat() + rest)));
    let all = ["pipeline.m03", "pipeline.m04", "pipeline.m05", "pipeline.m06", "pipeline.rest"];
    let counts = counts(&fixture, &all);
    assert!(counts.iter().all(|n| *n > 200) && counts.iter().sum::<i64>() == ROWS, "{counts:?}");
}

#[test]
fn a_target_partitioned_by_a_flag_that_its_default_sets_takes_all_rows_there() {
    let fixture = pulled_into(&partitioned(
        "list (flag)",
        "create table pipeline.fresh partition of pipeline.aidt_raw for values in ('N');
         create table pipeline.rest partition of pipeline.aidt_raw default",
    ));
    assert_eq!(counts(&fixture, &["pipeline.fresh", "pipeline.rest"]), [ROWS, 0]);
}

#[test]
fn a_target_partitioned_by_a_column_of_the_mapping_takes_each_row_to_its_value() {
    let fixture = pulled_into(&partitioned(
        "list (object_type)",
        "create table pipeline.activities partition of pipeline.aidt_raw for values in ('Activity');
         create table pipeline.rest partition of pipeline.aidt_raw default",
    ));
    let counts = counts(&fixture, &["pipeline.activities", "pipeline.rest"]);
    assert!(counts.iter().all(|n| *n > 300), "{counts:?}");
}

#[test]
fn a_target_partitioned_by_hash_takes_the_rows_of_each_remainder() {
    let remainders = (0..3).map(|n| {
        format!(
            "create table pipeline.h{n} partition of pipeline.aidt_raw
                 for values with (modulus 3, remainder {n});"
        )
    });
    let fixture = pulled_into(&partitioned("hash (id)", &remainders.collect::<String>()));
    let counts = counts(&fixture, &["pipeline.h0", "pipeline.h1", "pipeline.h2"]);
    assert!(counts.iter().all(|n| *n > 300), "{counts:?}");
}

#[test]
fn partitions_of_partitions_with_columns_in_another_order_take_their_rows() {
    let fixture = pulled_into(&partitioned(
        "range (\"timestamp\")",
        "create table pipeline.spring partition of pipeline.aidt_raw
             for values from ('2025-03-01') to ('2025-06-01') partition by hash (user_id);
         create table pipeline.s0 partition of pipeline.spring for values with (modulus 2, remainder 0);
         create table pipeline.s1 (
             partner_id text, gone int, flag char(1) default 'N', inserted_at timestamptz default current_timestamp,
             \"timestamp\" timestamptz, \"statement\" jsonb, object_type varchar, user_id varchar, id uuid);
         alter table pipeline.s1 drop gone;
         alter table pipeline.spring attach partition pipeline.s1 for values with (modulus 2, remainder 1);
         create table pipeline.summer partition of pipeline.aidt_raw
             for values from ('2025-06-01') to ('2025-08-01')",
    ));
    let counts = counts(&fixture, &["pipeline.s0", "pipeline.s1", "pipeline.summer"]);
    assert!(counts.iter().all(|n| *n > 200), "{counts:?}");
}

#[test]
fn a_row_that_no_partition_takes_is_rejected_and_the_others_are_not() {
    let fixture = Fixture::with(&rows());
    fixture.on_stage(&partitioned(
        "range (\"timestamp\")",
        "create table pipeline.spring partition of pipeline.aidt_raw
             for values from ('2025-03-01') to ('2025-07-30')",
    ));
    let pulled = Pull::everything().batch(100).run(&mut fixture.stage());
    assert!(pulled.rejected > 0 && pulled.rows + pulled.rejected == ROWS, "{pulled:?}");
    let said = "select bool_and(sqlstate = '23514' and message like 'no partition%') from lrs_extract.reject";
    assert_eq!(fixture.stage_value(said), "true");
    fixture.assert_all_rows();
}

/// Row and statement triggers, before and after, that count what passes them.
const COUNTING_TRIGGERS: &str = "
    create table pipeline.counted (what text, rows bigint);
    create function pipeline.count_row() returns trigger language plpgsql as $$
    begin
        insert into pipeline.counted values (tg_when || ' ' || tg_level, 1);
        return new;
    end $$;
    create function pipeline.count_statement() returns trigger language plpgsql as $$
    begin
        insert into pipeline.counted values (tg_when || ' ' || tg_level, (select count(*) from arrived));
        return null;
    end $$;
    create trigger row_before before insert on pipeline.aidt_raw
        for each row execute function pipeline.count_row();
    create trigger row_after after insert on pipeline.aidt_raw
        for each row execute function pipeline.count_row();
    create trigger statement_after after insert on pipeline.aidt_raw
        referencing new table as arrived
        for each statement execute function pipeline.count_statement();";

fn assert_each_trigger_counted_every_row(fixture: &Fixture) {
    let counted = "select string_agg(what || ' ' || rows, ', ' order by what)
                   from (select what, sum(rows) as rows from pipeline.counted group by what) c";
    assert_eq!(
        fixture.stage_value(counted),
        format!("AFTER ROW {ROWS}, AFTER STATEMENT {ROWS}, BEFORE ROW {ROWS}")
    );
}

#[test]
fn triggers_of_rows_and_of_statements_see_every_row_once() {
    assert_each_trigger_counted_every_row(&pulled_into(COUNTING_TRIGGERS));
}

#[test]
fn triggers_of_a_partitioned_target_see_every_row_once() {
    let table = partitioned(
        "range (\"timestamp\")",
        "create table pipeline.spring partition of pipeline.aidt_raw
             for values from ('2025-03-01') to ('2025-06-01');
         create table pipeline.rest partition of pipeline.aidt_raw default;",
    );
    let fixture = Fixture::with(&rows());
    fixture.on_stage(&(table + COUNTING_TRIGGERS));
    Pull::everything().batch(100).run(&mut fixture.stage());
    fixture.assert_all_rows();
    assert_each_trigger_counted_every_row(&fixture);
}

#[test]
fn the_statement_is_a_plain_insert_select_that_a_sharding_extension_can_take() {
    // The text of the statement is in the context that a trigger function runs in.
    let fixture = pulled_into(
        "create table pipeline.seen (context text);
         create function pipeline.look() returns trigger language plpgsql as $$
         declare context text;
         begin
             get diagnostics context = pg_context;
             insert into pipeline.seen values (context);
             return null;
         end $$;
         create trigger look after insert on pipeline.aidt_raw
             for each statement execute function pipeline.look()",
    );
    let statement =
        "select string_agg(distinct substring(context from 'SQL statement \"(.*)\"$'), ' | ')
                     from pipeline.seen";
    let columns = r#"id, object_type, partner_id, statement, "timestamp", user_id"#;
    let found = fixture.stage_value(statement);
    assert_eq!(
        found,
        format!(
            "insert into pipeline.aidt_raw ({columns}) select {columns} from lrs_extract_batch"
        )
    );
}

#[test]
fn a_target_of_as_many_columns_as_a_table_can_have_is_filled() {
    let fixture = Fixture::with(&Rows::of(60));
    let have: usize = fixture
        .stage_value("select count(*) from pg_attribute where attrelid = 'pipeline.aidt_raw'::regclass and attnum > 0")
        .parse()
        .expect("a count");
    let more = 1_600 - have;
    fixture.on_stage(&format!(
        "do $$ begin execute (
           select 'alter table pipeline.aidt_raw ' || string_agg(format('add c%s smallint', n), ', ')
             from generate_series(1, {more}) n); end $$;
         update lrs_extract.pipeline set mapping = mapping || (
           select jsonb_object_agg('c' || n, jsonb_build_object('const', (n % 7)::text))
             from generate_series(1, {more}) n)"
    ));
    assert_eq!(fixture.pull_all().rows, 60);
    fixture.assert_all_rows();
    let sums = fixture
        .stage_value(&format!("select sum(c{more}) || ' ' || sum(c1) from pipeline.aidt_raw"));
    assert_eq!(sums, format!("{} 60", more % 7 * 60));
}

#[test]
fn an_identity_by_default_and_a_generated_column_fill_themselves() {
    let fixture = pulled_into(
        "alter table pipeline.aidt_raw
             add row_no bigint generated by default as identity,
             add day date generated always as ((\"timestamp\" at time zone 'UTC')::date) stored",
    );
    let wrong = "select count(*) from pipeline.aidt_raw
                 where day is distinct from (\"timestamp\" at time zone 'UTC')::date";
    assert_eq!(fixture.stage_value(wrong), "0");
    let numbers = "select count(distinct row_no) from pipeline.aidt_raw";
    assert_eq!(fixture.stage_value(numbers), ROWS.to_string());
}

#[test]
fn an_updatable_view_passes_the_rows_to_its_table() {
    let fixture = pulled_into(
        "alter table pipeline.aidt_raw rename to stored;
         create view pipeline.aidt_raw as select * from pipeline.stored",
    );
    assert_eq!(counts(&fixture, &["pipeline.stored"]), [ROWS]);
}

#[test]
fn a_view_whose_check_option_refuses_a_row_sets_it_aside() {
    let fixture = Fixture::with(&rows());
    fixture.on_stage(
        "alter table pipeline.aidt_raw rename to stored;
         create view pipeline.aidt_raw as
             select * from pipeline.stored where \"timestamp\" < '2025-07-25' with check option",
    );
    let pulled = Pull::everything().batch(100).run(&mut fixture.stage());
    assert!(pulled.rejected > 0 && pulled.rows + pulled.rejected == ROWS, "{pulled:?}");
    fixture.assert_all_rows();
}

#[test]
fn a_view_with_an_instead_of_trigger_does_with_the_rows_what_the_trigger_says() {
    let fixture = pulled_into(
        "alter table pipeline.aidt_raw rename to stored;
         create view pipeline.aidt_raw as select *, null::int as computed from pipeline.stored;
         create function pipeline.store() returns trigger language plpgsql as $$
         begin
             insert into pipeline.stored (id, user_id, object_type, \"statement\", \"timestamp\")
                 values (new.id, new.user_id, new.object_type, new.\"statement\", new.\"timestamp\");
             return new;
         end $$;
         create trigger store instead of insert on pipeline.aidt_raw
             for each row execute function pipeline.store()",
    );
    assert_eq!(counts(&fixture, &["pipeline.stored"]), [ROWS]);
}

#[test]
fn an_unlogged_target_that_a_crash_emptied_is_filled_again_after_a_forget() {
    let fixture = Fixture::on(Pair::own(), &rows());
    fixture.on_stage("alter table pipeline.aidt_raw set unlogged");
    fixture.pull_all();
    fixture.assert_all_rows();
    fixture.pair.stage.restart_immediately();
    assert_eq!(fixture.target_rows(), 0, "what a crash does to an unlogged table");
    assert_eq!(fixture.pull_all().rows, 0, "the ledger is logged");
    fixture.on_stage("select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')");
    fixture.pull_all();
    fixture.assert_all_rows();
}
