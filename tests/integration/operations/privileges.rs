//! Who may pull, and as whom.

use postgres::Client;

use crate::fixture::{Fixture, Pair, Pull, READER_PASSWORD, Rows, TRUSTED, refusal, whole_text};

/// What a role that is no superuser needs, in the order of the statements below.
#[derive(Clone, Copy, PartialEq)]
enum Grant {
    Functions,
    ServerUsage,
    Target,
}

use Grant::{Functions, ServerUsage, Target};

/// A fixture and a session of a role that has these grants and a user mapping with these options.
fn analyst(grants: &[Grant], mapping: &str) -> (Fixture, Client) {
    let fixture = Fixture::with(&Rows::of(400).nulls_every(3).odd_ids_every(100));
    let role = format!("{}_analyst", fixture.db);
    fixture.on_stage(&format!(
        "create role {role} login password 'x'; grant usage on schema lrs_extract, pipeline to {role};
         create user mapping for {role} server lrs_source options ({mapping})"
    ));
    for (grant, sql) in [
        (Functions, "grant execute on all functions in schema lrs_extract to"),
        (ServerUsage, "grant usage on foreign server lrs_source to"),
        (Target, "grant insert on pipeline.aidt_raw to"),
    ] {
        if grants.contains(&grant) {
            fixture.on_stage(&format!("{sql} {role}"));
        }
    }
    let session = fixture.stage_as(&role, "x");
    (fixture, session)
}

/// What postgres_fdw and dblink answer, or a plain lack of privilege.
const PASSWORD_RULE: [&str; 2] = ["2F003", "42501"];

fn with_password() -> String {
    format!("user 'reader', password '{READER_PASSWORD}'")
}

/// The SQLSTATE and all words of a refused pull; nothing arrived.
fn refused(grants: &[Grant], mapping: &str) -> (String, String) {
    let (fixture, mut session) = analyst(grants, mapping);
    let refused = refusal(Pull::everything().try_run(&mut session));
    assert_eq!(fixture.target_rows(), 0);
    (refused.code().code().to_owned(), whole_text(&refused))
}

#[test]
fn a_role_with_grants_usage_and_a_password_may_pull() {
    let (fixture, mut session) = analyst(&[Functions, ServerUsage, Target], &with_password());
    let pulled = Pull::everything().batch(50).run(&mut session);
    assert_eq!((pulled.rows, pulled.rejected), (396, 4));
    fixture.assert_all_rows();
}

#[test]
fn a_role_with_grants_may_pull_in_its_own_transaction() {
    let (fixture, mut session) = analyst(&[Functions, ServerUsage, Target], &with_password());
    Pull::everything().batch(50).commit("caller").run(&mut session);
    fixture.assert_all_rows();
}

#[test]
fn nothing_is_executable_by_everyone() {
    let (code, words) = refused(&[ServerUsage, Target], &with_password());
    assert_eq!(code, "42501", "{words}");
}

#[test]
fn no_function_is_executable_by_public() {
    let fixture = Fixture::with(&Rows::of(0));
    let open = fixture.stage_value(
        "select string_agg(p.oid::regprocedure::text, ', ') from pg_proc p
         where p.pronamespace = 'lrs_extract'::regnamespace
           and has_function_privilege('public', p.oid, 'execute')",
    );
    assert_eq!(open, "");
}

#[test]
fn without_usage_on_the_server_it_is_refused() {
    let (code, words) = refused(&[Functions, Target], &with_password());
    assert_eq!(code, "42501", "{words}");
    assert!(words.contains("lrs_source"), "{words}");
}

#[test]
fn without_a_password_it_is_refused() {
    let (code, words) = refused(&[Functions, ServerUsage, Target], "user 'reader'");
    assert!(PASSWORD_RULE.contains(&code.as_str()), "{words}");
    assert!(words.contains("password"), "{words}");
}

#[test]
fn a_password_that_the_source_did_not_ask_for_is_refused() {
    let mapping = format!("user '{TRUSTED}', password '{READER_PASSWORD}'");
    let (code, words) = refused(&[Functions, ServerUsage, Target], &mapping);
    assert!(PASSWORD_RULE.contains(&code.as_str()), "{words}");
    assert!(words.contains("password"), "{words}");
}

#[test]
fn a_superuser_may_use_a_source_that_asks_for_no_password() {
    let fixture = Fixture::with(&Rows::of(200));
    fixture.on_stage(&format!(
        "alter user mapping for current_user server lrs_source options (set user '{TRUSTED}', drop password)"
    ));
    fixture.pull_all();
    fixture.assert_all_rows();
}

#[test]
fn the_worker_inserts_as_the_role_that_called() {
    let (code, words) = refused(&[Functions, ServerUsage], &with_password());
    assert_eq!(code, "42501", "{words}");
    assert!(words.contains("aidt_raw"), "{words}");
}

#[test]
fn row_level_security_of_the_target_holds_for_the_role() {
    let (fixture, mut session) = analyst(&[Functions, ServerUsage, Target], &with_password());
    fixture.on_stage("alter table pipeline.aidt_raw enable row level security");
    let refused = refusal(Pull::everything().try_run(&mut session));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
    assert_eq!(fixture.target_rows(), 0);
}

#[test]
fn a_role_taken_by_set_role_is_the_role_that_pulls() {
    let (fixture, _) = analyst(&[Functions, ServerUsage], &with_password());
    let mut session = fixture.stage();
    session.batch_execute(&format!("set role {}_analyst", fixture.db)).expect("set role");
    let refused = refusal(Pull::everything().try_run(&mut session));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
}

#[test]
fn a_role_that_may_not_log_in_pulls_through_set_role() {
    let (fixture, _) = analyst(&[Functions, ServerUsage, Target], &with_password());
    let mut session = fixture.stage();
    session
        .batch_execute(&format!("alter role {0}_analyst nologin; set role {0}_analyst", fixture.db))
        .expect("set role");
    Pull::everything().batch(50).run(&mut session);
    fixture.assert_all_rows();
}

#[test]
fn a_function_in_the_callers_search_path_is_not_called_by_the_extension() {
    let (fixture, mut session) = analyst(&[Functions, ServerUsage, Target], &with_password());
    let role = format!("{}_analyst", fixture.db);
    fixture.on_stage(&format!("create schema trap authorization {role}"));
    session
        .batch_execute(
            "create function trap.now() returns timestamptz language plpgsql as
                 $$ begin raise exception 'trapped as %', current_user; end $$;
             create function trap.count(text) returns bigint language plpgsql as
                 $$ begin raise exception 'trapped as %', current_user; end $$;
             create function trap.eq(text, text) returns boolean language plpgsql as
                 $$ begin raise exception 'trapped as %', current_user; end $$;
             create operator trap.= (function = trap.eq, leftarg = text, rightarg = text);
             set search_path = trap, pg_catalog",
        )
        .expect("the trap");
    Pull::everything().batch(50).run(&mut session);
    fixture.assert_all_rows();
}

#[test]
fn who_may_not_pull_may_not_forget() {
    let (fixture, mut session) = analyst(&[Functions, ServerUsage], &with_password());
    fixture.pull_all();
    let forget = "select lrs_extract.forget('2025-03-01', '2025-08-01')";
    let refused = refusal(session.query(forget, &[]));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
    fixture.on_stage(&format!("grant insert on pipeline.aidt_raw to {}_analyst", fixture.db));
    session.query(forget, &[]).expect("who may pull may forget");
}

/// A fixture whose target belongs to a role that is no superuser, and a session of that role.
fn owner_of_the_target() -> (Fixture, Client, String) {
    let (fixture, session) = analyst(&[Functions, ServerUsage], &with_password());
    let role = format!("{}_analyst", fixture.db);
    fixture.on_stage(&format!(
        "alter schema pipeline owner to {role}; alter table pipeline.aidt_raw owner to {role}"
    ));
    (fixture, session, role)
}

fn is_superuser(fixture: &Fixture, role: &str) -> String {
    fixture.stage_value(&format!("select rolsuper from pg_roles where rolname = '{role}'"))
}

#[test]
fn a_cast_of_the_targets_owner_is_not_called_as_the_extensions_owner() {
    let (fixture, mut session, role) = owner_of_the_target();
    session
        .batch_execute(&format!(
            "create type pipeline.e as enum ('x');
             create function pipeline.rise(pipeline.e) returns json language plpgsql as
                 $$ begin execute 'alter role {role} superuser'; return '1'; end $$;
             create cast (pipeline.e as json) with function pipeline.rise(pipeline.e);
             alter table pipeline.aidt_raw add column z pipeline.e default 'x'"
        ))
        .expect("the trap");
    fixture
        .stage()
        .query("select * from lrs_extract.plan('2025-03-01', '2025-08-01')", &[])
        .expect("a plan");
    fixture.pull_all();
    assert_eq!(is_superuser(&fixture, &role), "false");
}

/// A trigger of the target that tries to become whoever the worker connected as.
const RESET_ROLE: &str = "
    create function pipeline.rise() returns trigger language plpgsql as $$
    begin
        begin
            execute 'reset role';
            execute format('alter role %I superuser', tg_argv[0]);
        exception when others then null;
        end;
        return new;
    end $$;";

#[test]
fn a_trigger_does_not_get_at_the_role_that_the_worker_connected_as() {
    let (fixture, mut session, role) = owner_of_the_target();
    session.batch_execute(RESET_ROLE).expect("a function");
    session
        .batch_execute(&format!(
            "create trigger rise before insert on pipeline.aidt_raw
                 for each row execute function pipeline.rise('{role}');
             create function pipeline.lure() returns bigint language sql security definer as
                 'select count(*) from lrs_extract.pull(''2025-03-01'', ''2025-08-01'')'"
        ))
        .expect("the trap");
    // As a superuser, through a function of the role; and through SET ROLE.
    fixture.stage().query("select pipeline.lure()", &[]).expect("the pull");
    fixture.assert_all_rows();
    assert_eq!(is_superuser(&fixture, &role), "false");
    let mut stage = fixture.stage();
    stage.batch_execute(&format!("set role {role}")).expect("set role");
    Pull::everything().again().run(&mut stage);
    assert_eq!(is_superuser(&fixture, &role), "false");
}

#[test]
fn no_worker_starts_within_a_security_restricted_operation() {
    let (fixture, mut session, role) = owner_of_the_target();
    session
        .batch_execute(&format!(
            "create table pipeline.bait (n int);
             insert into pipeline.bait values (1);
             create function pipeline.lure(int) returns int language plpgsql immutable as $$
             begin
                 if session_user <> '{role}' then
                     perform lrs_extract.pull('2025-03-01', '2025-08-01');
                 end if;
                 return 1;
             end $$;
             create index on pipeline.bait (pipeline.lure(n))"
        ))
        .expect("the trap");
    let refused = refusal(fixture.stage().simple_query("analyze pipeline.bait"));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
    assert!(refused.message().contains("security-restricted"), "{}", whole_text(&refused));
    assert_eq!(fixture.target_rows(), 0);
}

#[test]
fn a_schema_of_somebody_else_is_not_moved_into() {
    let fixture = Fixture::with(&Rows::of(0));
    let role = format!("{}_squatter", fixture.db);
    fixture.on_stage(&format!(
        "drop extension lrs_extract cascade; create role {role};
         alter schema lrs_extract owner to {role}"
    ));
    let refused = refusal(fixture.stage().simple_query("create extension lrs_extract"));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
    assert!(refused.message().contains(&role), "{}", whole_text(&refused));
    fixture
        .on_stage("alter schema lrs_extract owner to current_user; create extension lrs_extract");
}

#[test]
fn who_may_insert_a_pipeline_needs_no_other_right_to_it() {
    let fixture = Fixture::bare(Pair::shared());
    let role = format!("{}_author", fixture.db);
    fixture.on_stage(&format!(
        "create role {role} login password 'x'; grant usage on schema lrs_extract to {role};
         grant insert on lrs_extract.pipeline to {role}"
    ));
    let mut author = fixture.stage_as(&role, "x");
    author
        .batch_execute(
            r#"insert into lrs_extract.pipeline (name, mapping) values ('mine', '{"id": {"path": ["id"]}}')"#,
        )
        .expect("a pipeline");
    let refused = refusal(author.batch_execute("delete from lrs_extract.pipeline"));
    assert_eq!(refused.code().code(), "42501", "{}", whole_text(&refused));
}
