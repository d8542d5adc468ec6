-- The peers that live in a server, for a stage that has contrib.

create extension postgres_fdw;
create extension dblink;

create schema acid;
create server fdw_source foreign data wrapper postgres_fdw
  options (host :'source_host', port '5432', dbname 'srcdb', fetch_size '100');
create user mapping for current_user server fdw_source options (user 'postgres');
create foreign table acid.lrs_statement_new (
    "timestamp" timestamptz not null,
    full_statement jsonb not null,
    actor_id bigint
) server fdw_source options (schema_name 'acid', table_name 'lrs_statement_new');
