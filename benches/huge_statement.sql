-- One statement of :megabytes MB that does not compress, in the middle of the
-- period.
insert into acid.lrs_statement_new ("timestamp", full_statement, actor_id)
select '2025-05-16 12:00:00+00',
       jsonb_build_object(
           'id', md5('huge')::uuid,
           'actor', jsonb_build_object('account', jsonb_build_object('homePage', 'https://school.example.kr', 'name', 'huge')),
           'verb', jsonb_build_object('id', 'http://adlnet.gov/expapi/verbs/answered'),
           'object', jsonb_build_object('id', 'https://content.example.kr/unit/1'),
           'result', jsonb_build_object(
               'response', (select string_agg(md5(n::text), '') from generate_series(1, :megabytes * 32768) n))),
       1;
