-- The stage of the quick start in README.md: the target, the extension, and the
-- connection to the source, whose role's password is in the environment.
--
--   source_host   where the source is: a name, or the folder of its socket (source)
\if :{?source_host}
\else
  \set source_host source
\endif
\set password `printf %s "$LRS_SOURCE_PASSWORD"`

create schema pipeline;
create table pipeline.aidt_raw (
  id uuid, user_id varchar, object_type varchar, "statement" jsonb, "timestamp" timestamptz,
  inserted_at timestamptz default current_timestamp, flag char(1) default 'N', partner_id text);

create extension lrs_extract;
create server lrs_source foreign data wrapper lrs_extract
  options (host :'source_host', port '5432', dbname 'srcdb', sslmode 'disable');
create user mapping for current_user server lrs_source
  options (user 'srcuser', password :'password');
