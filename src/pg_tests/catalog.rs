//! What `create extension` leaves behind.

#[pgrx::pg_schema]
mod tests {
    use crate::transform::Mapping;
    use pgrx::prelude::*;

    fn strings(sql: &str) -> Vec<String> {
        Spi::get_one::<Vec<String>>(sql).unwrap().unwrap_or_default()
    }

    #[pg_test]
    fn nothing_is_executable_by_public() {
        let open = strings(
            "select array_agg(p.oid::regprocedure::text) from pg_proc p \
             where p.pronamespace = 'lrs_extract'::regnamespace \
               and has_function_privilege('public', p.oid, 'execute')",
        );
        assert!(open.is_empty(), "{open:?}");
    }

    #[pg_test]
    fn nothing_is_readable_by_public() {
        let open = strings(
            "select array_agg(c.relname::text) from pg_class c \
             where c.relnamespace = 'lrs_extract'::regnamespace and c.relkind in ('r', 'v') \
               and has_table_privilege('public', c.oid, 'select')",
        );
        assert!(open.is_empty(), "{open:?}");
    }

    #[pg_test]
    fn every_object_has_a_comment() {
        let bare = strings(
            "select array_agg(d.what) from ( \
               select pg_describe_object(classid, objid, 0) as what \
                 from pg_depend \
                where refclassid = 'pg_extension'::regclass and deptype = 'e' \
                  and refobjid = (select oid from pg_extension where extname = 'lrs_extract') \
                  and obj_description(objid, classid::regclass::name) is null \
                  and classid <> 'pg_namespace'::regclass) d \
             where d.what not like 'type %' and d.what not like '%reject_reject_id_seq' \
               and d.what not like 'function tests.%'",
        );
        assert!(bare.is_empty(), "{bare:?}");
    }

    #[pg_test]
    fn every_column_has_a_comment() {
        let bare = strings(
            "select array_agg(format('%s.%s', c.relname, a.attname)) \
               from pg_class c join pg_attribute a on a.attrelid = c.oid \
              where c.relnamespace = 'lrs_extract'::regnamespace and c.relkind in ('r', 'v') \
                and a.attnum > 0 and not a.attisdropped \
                and col_description(c.oid, a.attnum) is null",
        );
        assert!(bare.is_empty(), "{bare:?}");
    }

    #[pg_test]
    fn the_view_of_runs_looks_for_the_lock_that_a_leader_takes() {
        let view = Spi::get_one::<String>("select pg_get_viewdef('lrs_extract.runs'::regclass)");
        let class = crate::ledger::LEADER_CLASS.to_string();
        assert!(view.unwrap().is_some_and(|view| view.contains(&class)));
    }

    #[pg_test]
    fn the_shipped_pipeline_can_be_read() {
        let mapping = Spi::get_one::<String>(
            "select mapping::text from lrs_extract.pipeline where name = 'aidt'",
        );
        let mapping = Mapping::parse(&mapping.unwrap().unwrap()).unwrap();
        let columns: Vec<&str> = mapping.columns.iter().map(|c| c.column.as_str()).collect();
        assert_eq!(
            columns,
            ["id", "object_type", "partner_id", "statement", "timestamp", "user_id"]
        );
    }

    #[pg_test]
    fn a_restored_row_replaces_the_shipped_one_but_no_changed_one() {
        let insert = "insert into lrs_extract.pipeline (name, mapping, retries) \
                      values ('aidt', '{\"id\": {\"path\": [\"id\"]}}', 3)";
        Spi::run(insert).unwrap();
        let retries = Spi::get_one::<i32>("select retries from lrs_extract.pipeline");
        assert_eq!(retries.unwrap(), Some(3));
        let again = crate::backend::transaction::Subtransaction::run(|| Spi::run(insert));
        assert_eq!(again.err().map(|f| f.sqlstate).as_deref(), Some("23505"));
    }

    #[pg_test]
    fn the_ledger_is_dumped() {
        let dumped = strings(
            "select array_agg(c::regclass::text order by c::regclass::text) \
             from pg_extension, unnest(extconfig) c where extname = 'lrs_extract'",
        );
        for table in ["pipeline", "run", "slice", "batch", "reject", "run_id_seq"] {
            assert!(dumped.contains(&format!("lrs_extract.{table}")), "{table}: {dumped:?}");
        }
    }
}
