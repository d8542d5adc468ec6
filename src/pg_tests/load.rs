//! The load: rows into real tables, refused rows set aside.

#[pgrx::pg_schema]
mod tests {
    use crate::error::Failure;
    use crate::load::{self, Loader, OnConflict, RejectedRow};
    use crate::pg_compat;
    use crate::pg_tests::stand_in;
    use crate::source::{RawChunk, RawRow};
    use crate::transform::{BoundMapping, Mapping, OnBadValue};
    use pgrx::prelude::*;
    use std::sync::atomic::Ordering;

    fn chunk<T: AsRef<[u8]>>(statements: &[T]) -> RawChunk {
        let mut raw = RawChunk::default();
        for (n, statement) in statements.iter().enumerate() {
            let start = raw.bytes.len();
            raw.bytes.extend_from_slice(statement.as_ref());
            raw.rows.push(RawRow {
                timestamp: n as i64,
                actor: None,
                statement: Some(start..raw.bytes.len()),
                extra: vec![],
            });
        }
        raw
    }

    struct Outcome {
        rows: u64,
        rejects: Vec<(i64, String, String)>,
    }

    /// Loads `statements` into `target`, made by `ddl`.
    fn pull(
        ddl: &str,
        target: &str,
        mapping: &str,
        policy: OnBadValue,
        statements: &[&str],
    ) -> Result<Outcome, Failure> {
        let (rows, rejects) = flush(ddl, target, mapping, policy, chunk(statements))?;
        let rejects = rejects
            .into_iter()
            .map(|r| (r.timestamp, r.refusal.column, r.refusal.sqlstate))
            .collect();
        Ok(Outcome { rows, rejects })
    }

    fn flush(
        ddl: &str,
        target: &str,
        mapping: &str,
        policy: OnBadValue,
        raw: RawChunk,
    ) -> Result<(u64, Vec<RejectedRow>), Failure> {
        Spi::run(ddl).unwrap();
        let target = load::describe(target, pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID))?;
        let mapping = Mapping::parse(mapping)?;
        let bound =
            BoundMapping::new(&mapping, policy, "timestamp", pg_compat::SERVER_MAJOR, |name| {
                target.find(name)
            })?;
        let rows = bound.apply(raw, &mut bound.state());
        let mut loader = Loader::new(&target, bound, None, OnConflict::Error)?;
        loader.push(rows);
        let loaded = loader.flush()?;
        Ok((loaded.rows, loaded.rejects))
    }

    /// What the heap measured at the begin of each of `flushes` of `rows`, each of a thousand bytes, and at the end,
    /// in blocks; and how many of these hold rows.
    fn heap_growth(rows: usize, flushes: usize) -> (Vec<i64>, i64) {
        Spi::run(
            "create table public.t (n int, s text); \
             create table public.seen (blocks bigint); \
             create function public.see() returns trigger language plpgsql as $$ begin \
               insert into public.seen values (pg_relation_size('public.t') / 8192); return null; end $$; \
             create trigger see before insert on public.t for each statement execute function public.see()",
        )
        .unwrap();
        let superuser = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
        let target = load::describe("public.t", superuser).unwrap();
        let mapping = Mapping::parse(r#"{"n": {"path": ["n"]}, "s": {"path": ["s"]}}"#).unwrap();
        let (policy, version) = (OnBadValue::Reject, pg_compat::SERVER_MAJOR);
        let bound =
            BoundMapping::new(&mapping, policy, "timestamp", version, |name| target.find(name))
                .unwrap();
        let mut loader = Loader::new(&target, bound.clone(), None, OnConflict::Error).unwrap();
        for _ in 0..flushes {
            let statement = format!(r#"{{"n": 1, "s": "{}"}}"#, "x".repeat(1000));
            loader.push(bound.apply(chunk(&vec![statement; rows]), &mut bound.state()));
            assert_eq!(loader.flush().unwrap().rows, rows as u64);
        }
        let blocks =
            "select array_agg(blocks) || pg_relation_size('public.t') / 8192 from public.seen";
        let used = "select count(distinct (ctid::text::point)[0]) from public.t";
        (
            Spi::get_one::<Vec<i64>>(blocks).unwrap().unwrap(),
            Spi::get_one::<i64>(used).unwrap().unwrap(),
        )
    }

    #[pg_test]
    fn a_heap_that_grows_is_extended_for_a_whole_flush_before_its_rows_come() {
        let (blocks, used) = heap_growth(1_000, 4);
        // Seven rows a block.
        let flush = 1_000 / 7;
        if pg_compat::SERVER_MAJOR < 16 {
            assert!(blocks.windows(2).all(|b| (b[1] - b[0] - flush).abs() < 3), "{blocks:?}");
        } else {
            assert_eq!(blocks[0], 0);
            assert!(blocks[1] >= 2 * flush - 3 && blocks[2] >= 3 * flush - 6, "{blocks:?}");
        }
        assert!(blocks[4] - used <= flush / 10, "{blocks:?}, {used} used");
    }

    #[pg_test]
    fn a_flush_of_a_few_rows_is_left_to_the_server() {
        let (blocks, used) = heap_growth(70, 4);
        assert_eq!((blocks.as_slice(), used), ([0, 10, 20, 30, 40].as_slice(), 40));
    }

    #[pg_extern]
    fn load_another_library() {
        stand_in::load_another_library();
    }

    #[pg_test]
    fn a_library_that_is_loaded_within_a_flush_keeps_its_hook_and_loses_no_rows() {
        Spi::run(
            "create table public.t (n int); \
             create function public.load() returns trigger language plpgsql as $$ begin \
               perform tests.load_another_library(); return new; end $$; \
             create trigger load before insert on public.t for each row execute function public.load()",
        )
        .unwrap();
        for expected in 1..=3 {
            let outcome = pull(
                "select 1",
                "public.t",
                r#"{"n": {"path": ["n"]}}"#,
                OnBadValue::Reject,
                &[r#"{"n": 1}"#, r#"{"n": 2}"#],
            );
            assert_eq!(outcome.unwrap().rows, 2);
            let before = stand_in::CALLS.load(Ordering::Relaxed);
            assert_eq!(count("public.t"), 2 * expected);
            assert!(stand_in::CALLS.load(Ordering::Relaxed) > before, "its hook is called");
        }
    }

    fn count(table: &str) -> i64 {
        Spi::get_one::<i64>(&format!("select count(*) from {table}")).unwrap().unwrap()
    }

    #[pg_test]
    fn a_row_that_a_constraint_refuses_goes_alone() {
        let statements: Vec<String> = (0..50).map(|n| format!("{{\"n\": {n}}}")).collect();
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        let outcome = pull(
            "create table public.t (n int primary key check (n not in (7, 31)))",
            "public.t",
            r#"{"n": {"path": ["n"]}}"#,
            OnBadValue::Reject,
            &statements,
        )
        .unwrap();
        assert_eq!(outcome.rows, 48);
        assert_eq!(count("public.t"), 48);
        let refused: Vec<_> = outcome.rejects.iter().map(|(n, _, s)| (*n, s.as_str())).collect();
        assert_eq!(refused, [(7, "23514"), (31, "23514")]);
    }

    #[pg_test]
    fn a_value_that_an_input_function_refuses_names_its_column() {
        let outcome = pull(
            "create table public.t (n int, s jsonb)",
            "public.t",
            r#"{"n": {"path": ["n"]}, "s": {"statement": true}}"#,
            OnBadValue::Reject,
            &[r#"{"n": 1}"#, r#"{"n": "x"}"#, r#"{"n": 3, "u": "\u0000"}"#, r#"{"n": 4}"#],
        )
        .unwrap();
        assert_eq!(outcome.rows, 2);
        let expected = [(1, "n".into(), "22P02".into()), (2, "s".into(), "22P05".into())];
        assert_eq!(outcome.rejects, expected);
    }

    #[pg_test]
    fn on_bad_value_null_nulls_the_column_and_keeps_the_row() {
        let outcome = pull(
            "create table public.t (n int, m int)",
            "public.t",
            r#"{"n": {"path": ["n"]}, "m": {"path": ["m"]}}"#,
            OnBadValue::Null,
            &[r#"{"n": "x", "m": 1}"#],
        )
        .unwrap();
        assert_eq!((outcome.rows, outcome.rejects.len()), (1, 0));
        let kept = Spi::get_two::<i32, i32>("select n, m from public.t").unwrap();
        assert_eq!(kept, (None, Some(1)));
    }

    #[pg_test]
    fn on_bad_value_abort_ends_the_flush_and_tells_the_key() {
        let failure = pull(
            "create table public.t (n int)",
            "public.t",
            r#"{"n": {"path": ["n"]}}"#,
            OnBadValue::Abort,
            &[r#"{"n": "x"}"#],
        )
        .err()
        .unwrap();
        assert_eq!(failure.sqlstate, "22P02");
        assert!(failure.detail.unwrap().contains("actor null"));
    }

    #[pg_test]
    fn a_rejected_row_says_whether_it_is_kept_as_it_came() {
        let statements: [&[u8]; 3] = [br#"{"n": "a\xe9b"}"#, b"{\"n\": \"a\xe9b\"}", b"{\"n\": 1}"];
        let (rows, rejects) = flush(
            "create table public.t (n int)",
            "public.t",
            r#"{"n": {"path": ["n"]}}"#,
            OnBadValue::Reject,
            chunk(&statements),
        )
        .unwrap();
        assert_eq!(rows, 1);
        let kept: Vec<_> = rejects.iter().map(|r| (r.row, r.altered)).collect();
        assert_eq!(kept, [(0, false), (1, true)]);
        assert_eq!(rejects[0].statement, rejects[1].statement);
    }

    #[pg_test]
    fn a_not_null_domain_is_asked_about_nulls() {
        let outcome = pull(
            "create domain public.d as text not null; create table public.t (d public.d)",
            "public.t",
            r#"{"d": {"path": ["d"]}}"#,
            OnBadValue::Null,
            &["{}", r#"{"d": "x"}"#],
        )
        .unwrap();
        assert_eq!((outcome.rows, outcome.rejects.len()), (1, 1));
    }

    #[pg_test]
    fn triggers_partitions_and_generated_columns_work_as_for_any_insert() {
        let outcome = pull(
            "create table public.t (n int, twice int generated always as (n * 2) stored, \
               id int generated by default as identity) partition by range (n); \
             create table public.t1 partition of public.t for values from (0) to (10); \
             create table public.t2 partition of public.t for values from (10) to (20); \
             create function public.odd() returns trigger language plpgsql as \
               $$ begin new.n := new.n + 1; return new; end $$; \
             create trigger odd before insert on public.t1 for each row execute function public.odd()",
            "public.t",
            r#"{"n": {"path": ["n"]}}"#,
            OnBadValue::Reject,
            &[r#"{"n": 1}"#, r#"{"n": 11}"#, r#"{"n": 99}"#],
        )
        .unwrap();
        assert_eq!(outcome.rows, 2);
        assert_eq!(outcome.rejects[0].0, 2);
        let sum = Spi::get_one::<i64>("select sum(twice) from public.t").unwrap();
        assert_eq!(sum, Some(2 * 2 + 2 * 11));
    }

    #[pg_test]
    fn columns_that_take_no_value_are_refused_before_anything_is_read() {
        for (ddl, sqlstate) in [
            ("create table public.t (n int generated always as identity)", "428C9"),
            ("create table public.t (m int, n int generated always as (m) stored)", "428C9"),
            ("create table public.t (m int)", "42703"),
            ("select 1", "42P01"),
        ] {
            Spi::run("drop table if exists public.t").unwrap();
            let refused =
                pull(ddl, "public.t", r#"{"n": {"path": ["n"]}}"#, OnBadValue::Reject, &[]);
            assert_eq!(refused.err().map(|f| f.sqlstate).as_deref(), Some(sqlstate), "{ddl}");
        }
    }
}
