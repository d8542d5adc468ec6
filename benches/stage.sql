-- The stage of a measurement: the target as users have it, lrs_extract, and its
-- source at the socket :source_host.

create schema pipeline;
create table pipeline.aidt_raw (
    id uuid, user_id varchar, object_type varchar, "statement" jsonb, "timestamp" timestamptz,
    inserted_at timestamptz default current_timestamp, flag char(1) default 'N', partner_id text);

create extension lrs_extract;
create server lrs_source foreign data wrapper lrs_extract
  options (host :'source_host', port '5432', dbname 'srcdb', sslmode 'disable');
create user mapping for current_user server lrs_source options (user 'postgres', password_required 'false');
