-- The source as DESIGN section 1 has it, and functions that fill it with statements whose
-- contents follow from a serial number.
create schema acid;

create table acid.lrs_statement_new (
    "timestamp" timestamptz not null,
    full_statement jsonb not null,
    actor_id bigint
) partition by range ("timestamp");

create table acid.lrs_statement_2025_03 partition of acid.lrs_statement_new
    for values from ('2025-03-01') to ('2025-04-01');
create table acid.lrs_statement_2025_04 partition of acid.lrs_statement_new
    for values from ('2025-04-01') to ('2025-05-01');
create table acid.lrs_statement_2025_05 partition of acid.lrs_statement_new
    for values from ('2025-05-01') to ('2025-06-01');
create table acid.lrs_statement_2025_06 partition of acid.lrs_statement_new
    for values from ('2025-06-01') to ('2025-07-01');
create table acid.lrs_statement_2025_07 partition of acid.lrs_statement_new
    for values from ('2025-07-01') to ('2025-08-01');
create index on acid.lrs_statement_new ("timestamp", actor_id);

create sequence acid.serial minvalue 0;

create function acid.statement(serial bigint, odd_id boolean) returns jsonb
    language sql immutable as $$
    select jsonb_build_object(
        'id', case when odd_id then 'test-' || serial else md5('statement ' || serial)::uuid::text end,
        'actor', case serial % 7
            when 0 then jsonb_build_object('objectType', 'Agent', 'account',
                jsonb_build_object('homePage', 'https://school.example', 'name', 'pupil ' || serial % 97))
            when 1 then jsonb_build_object('mbox', 'mailto:pupil' || serial % 97 || '@school.example')
            when 2 then jsonb_build_object('mbox_sha1sum', md5('box ' || serial % 97))
            when 3 then jsonb_build_object('objectType', 'Agent', 'openid', 'https://id.example/' || serial % 97)
            when 4 then jsonb_build_object('objectType', 'Group', 'member', '[{"mbox": "mailto:a@b.example"}]'::jsonb)
            when 5 then jsonb_build_object('objectType', 'Group', 'account',
                jsonb_build_object('homePage', 'https://school.example', 'name', 'class ' || serial % 11))
            else jsonb_build_object('name', 'Ünï "cødé" \ 学生', 'mbox', 'mailto:x@y.example')
        end,
        'verb', '{"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"de": "beantwortete"}}'::jsonb,
        'object', case serial % 5
            when 0 then jsonb_build_object('id', 'https://school.example/task/' || serial)
            when 1 then jsonb_build_object('objectType', 'Activity', 'id', 'https://school.example/task/' || serial)
            when 2 then jsonb_build_object('objectType', 'Agent', 'mbox', 'mailto:teacher@school.example')
            when 3 then jsonb_build_object('objectType', 'StatementRef', 'id', md5('other ' || serial)::uuid)
            else '{"objectType": "SubStatement", "actor": {"mbox": "mailto:c@d.example"},
                   "verb": {"id": "http://v.example/"}, "object": {"id": "http://o.example/"}}'::jsonb
        end,
        'result', jsonb_build_object('score', serial / 7.0, 'success', serial % 2 = 0, 'response', null),
        'serial', serial
    )
$$;

-- "ties" rows share a timestamp and have "actors_per_tie" actors among them.
create function acid.fill(
    rows bigint, ties bigint, actors_per_tie bigint, nulls_every bigint, odd_ids_every bigint,
    "from" timestamptz, "to" timestamptz
) returns void language sql as $$
    insert into acid.lrs_statement_new ("timestamp", full_statement, actor_id)
    select "from" + ("to" - "from") * ((n / ties)::float8 / ((rows + ties - 1) / ties)),
           acid.statement(nextval('acid.serial'), odd_ids_every > 0 and n % odd_ids_every = 0),
           case when nulls_every > 0 and n % nulls_every = 0 then null
                else (n / ties) % 89 + (n % actors_per_tie) * 100 end
    from (select n from generate_series(0, rows - 1) n order by md5(n::text)) shuffled
$$;
