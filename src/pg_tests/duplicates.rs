//! Duplicates: found and removed by the statements that a worker runs, here in one transaction.

#[pgrx::pg_schema]
mod tests {
    use crate::backend::time::Period;
    use crate::error::Failure;
    use crate::load::{self, Duplicates, Identity};
    use pgrx::prelude::*;

    fn duplicates(ddl: &str) -> Result<Duplicates, Failure> {
        Spi::run(ddl).unwrap();
        let role = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
        let target = load::describe("public.t", role)?;
        Duplicates::of(&target, Identity::of(&target, "id", "at")?, role)
    }

    fn always() -> Period {
        Period::try_from((i64::MIN, i64::MAX)).unwrap()
    }

    /// Removes all duplicates in steps of `rows`; how many went with each.
    fn remove(duplicates: &Duplicates, rows: usize) -> Vec<usize> {
        duplicates.find(always()).unwrap();
        let steps = std::iter::from_fn(|| {
            let step = duplicates.next(rows).unwrap();
            (!step.is_empty()).then(|| duplicates.remove(step).unwrap().0)
        });
        steps.collect()
    }

    #[pg_test]
    fn all_but_the_earliest_of_an_id_go_step_by_step() {
        let duplicates = duplicates(
            "create table public.t (id int, at timestamptz, n serial); \
             insert into public.t (id, at) select i % 10, 'epoch'::timestamptz + i * interval '-1 hour' \
               from generate_series(1, 100) i",
        );
        assert_eq!(remove(&duplicates.unwrap(), 40), [40, 40, 10]);
        let left =
            Spi::get_one::<String>("select string_agg(n::text, ' ' order by n) from public.t");
        assert_eq!(left.unwrap().as_deref(), Some("91 92 93 94 95 96 97 98 99 100"));
    }

    #[pg_test]
    fn of_one_timestamp_the_first_place_stays() {
        let duplicates = duplicates(
            "create table public.t (id text, at timestamptz, n serial); \
             insert into public.t (id, at) select 'x', 'epoch' from generate_series(1, 9)",
        );
        assert_eq!(remove(&duplicates.unwrap(), 100), [8]);
        assert_eq!(Spi::get_one::<i32>("select n from public.t").unwrap(), Some(1));
    }

    #[pg_test]
    fn rows_that_a_trigger_holds_back_are_not_counted() {
        let duplicates = duplicates(
            "create table public.t (id int, at timestamptz); \
             insert into public.t select i / 2, 'epoch' from generate_series(0, 9) i; \
             create function public.hold() returns trigger language plpgsql as \
               $$ begin return case when old.id > 1 then old end; end $$; \
             create trigger hold before delete on public.t for each row execute function public.hold()",
        );
        assert_eq!(remove(&duplicates.unwrap(), 100), [3]);
    }

    #[pg_test]
    fn children_by_inheritance_are_searched_as_a_select_does() {
        let duplicates = duplicates(
            "create table public.t (id int, at timestamptz); \
             create table public.u () inherits (public.t); \
             insert into public.t values (1, 'epoch'), (2, 'epoch'); \
             insert into public.u values (1, 'epoch'), (2, 'yesterday')",
        );
        assert_eq!(remove(&duplicates.unwrap(), 100), [2]);
        assert_eq!(Spi::get_one::<i64>("select count(*) from only public.t").unwrap(), Some(2));
    }

    #[pg_test]
    fn what_rows_cannot_be_told_apart_in_is_refused() {
        for (ddl, sqlstate) in [
            ("create table public.t (id int, at timestamp)", "0A000"),
            ("select 1", "42P01"),
            ("create view public.t as select 1 as id, now() as at", "0A000"),
        ] {
            Spi::run("drop table if exists public.t").unwrap();
            let refused = duplicates(ddl).err();
            assert_eq!(refused.map(|f| f.sqlstate).as_deref(), Some(sqlstate), "{ddl}");
        }
    }
}
