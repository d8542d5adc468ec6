//! Who acts: the ledger as the extension's owner, the load as the caller.

#[pgrx::pg_schema]
mod tests {
    use crate::backend::role;
    use crate::backend::transaction::Subtransaction;
    use pgrx::prelude::*;

    fn role_and_path() -> (Option<String>, Option<String>) {
        Spi::get_two("select current_user::text, current_setting('search_path')").unwrap()
    }

    #[pg_test]
    fn the_ledger_acts_as_the_owner_with_a_safe_search_path() {
        Spi::run("create role lrs_caller; set role lrs_caller; set search_path = public").unwrap();
        let inside = role::as_owner(role_and_path);
        let owner = Spi::get_one::<String>(
            "select nspowner::regrole::text from pg_namespace where nspname = 'lrs_extract'",
        )
        .unwrap();
        assert_eq!(inside, (owner, Some("pg_catalog, pg_temp".into())));
        assert_eq!(role_and_path(), (Some("lrs_caller".into()), Some("public".into())));
    }

    #[pg_test]
    fn an_error_on_the_way_puts_role_and_path_back() {
        Spi::run("create role lrs_caller; set role lrs_caller; set search_path = public").unwrap();
        let failed = Subtransaction::run(|| role::as_owner(|| Spi::run("select 1 / 0").unwrap()));
        assert_eq!(failed.err().map(|f| f.sqlstate).as_deref(), Some("22012"));
        assert_eq!(role_and_path(), (Some("lrs_caller".into()), Some("public".into())));
    }
}
