-- The source's table of tests/tools/sample_source.sql, without rows: five months
-- from 2025-03 on. Included by the data sets that are not that sample.

\set ON_ERROR_STOP on
set client_min_messages = warning;
set timezone = 'UTC';
set synchronous_commit = off;

create schema acid;
create table acid.lrs_statement_new (
    "timestamp" timestamptz not null,
    full_statement jsonb not null,
    actor_id bigint
) partition by range ("timestamp");

select format(
           'create table acid.%I partition of acid.lrs_statement_new for values from (%L) to (%L)',
           'lrs_statement_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month')
  from generate_series(timestamptz '2025-03-01', timestamptz '2025-07-01', interval '1 month') month
\gexec

-- Where row nth of so many lies in the five months.
create function pg_temp.moment(nth bigint, rows bigint) returns timestamptz
language sql immutable as $$
    select timestamptz '2025-03-01 00:00:00+00' + interval '153 days' * (nth / rows::float8)
$$;
