-- The target as DESIGN section 1 has it.
create schema pipeline;

create table pipeline.aidt_raw (
    id uuid,
    user_id varchar,
    object_type varchar,
    "statement" jsonb,
    "timestamp" timestamptz,
    inserted_at timestamptz default current_timestamp,
    flag char(1) default 'N',
    partner_id text
);

create extension lrs_extract;

-- The settings of a test: retries come soon, and nothing in the past is unsettled.
update lrs_extract.pipeline set retries = 20, retry_delay = '200 ms' where name = 'aidt';
