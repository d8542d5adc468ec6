-- A data set of small statements, some 600 bytes each, which no server
-- compresses: what is left is the cost of a row.
--
--   psql -v rows=300000 … -f source_small.sql
--
-- The same rows each time: what looks random is a hash of the row's number.

\ir source_table.sql

insert into acid.lrs_statement_new ("timestamp", full_statement, actor_id)
select pg_temp.moment(nth, :rows),
       jsonb_build_object(
           'id', md5('small ' || nth)::uuid,
           'actor', jsonb_build_object(
               'objectType', 'Agent',
               'account', jsonb_build_object(
                   'homePage', 'https://school.example.kr', 'name', md5('actor ' || nth % 100)::uuid)),
           'verb', jsonb_build_object(
               'id', 'http://adlnet.gov/expapi/verbs/' || (array['answered', 'completed', 'viewed'])[1 + luck % 3]),
           'object', jsonb_build_object(
               'objectType', 'Activity',
               'id', format('https://content.example.kr/unit/%s/item/%s', luck % 40, chance % 200)),
           'result', jsonb_build_object(
               'success', chance % 3 > 0, 'response', 'choice-' || luck % 4 + 1,
               'score', jsonb_build_object('raw', chance % 101)),
           'context', jsonb_build_object('platform', 'AIDT web player 4.2.1', 'language', 'ko-KR'),
           'version', '1.0.3',
           'timestamp', pg_temp.moment(nth, :rows),
           'stored', pg_temp.moment(nth, :rows)),
       case when chance % 100 > 0 then nth % 100 + 1 end
  from (select nth,
               hashint8extended(nth, 2) & 2147483647 as chance,
               hashint8extended(nth, 3) & 2147483647 as luck
          from generate_series(0::bigint, :rows - 1) nth
        offset 0) hashed;

\ir source_index.sql
