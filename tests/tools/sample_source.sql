-- A source to pull from: acid.lrs_statement_new with monthly partitions from
-- 2025-03 on, filled with xAPI statements of realistic shape and size (about
-- 2.3 KB of JSON text each, 1.4 KB stored). lrs_extract need not be installed
-- here. Run again, it adds other rows to the same months, behind those that
-- are there.
--
--   psql -v rows=200000 … -f sample_source.sql
--
--   rows    how many rows to add (200000)
--   months  over how many months from 2025-03 (5)
--   ties    none: timestamps to the microsecond, a few groups of rows share one;
--           days: whole days, so that all rows of a day share one (none)
--   nulls   share of rows whose actor_id is null (0.01)
--   odd     share of rows whose statement is not simply an Agent with an
--           account and an Activity with a uuid (0.01); the twelve kinds are
--           those of pg_temp.odd_statement below
--
-- The same arguments make the same rows: what looks random is a hash of the
-- row's number. One core of a small machine makes some 22,000 rows a
-- second; compressing them is near half of that work.

\set ON_ERROR_STOP on
\if :{?rows}
\else
  \set rows 200000
\endif
\if :{?months}
\else
  \set months 5
\endif
\if :{?ties}
\else
  \set ties none
\endif
\if :{?nulls}
\else
  \set nulls 0.01
\endif
\if :{?odd}
\else
  \set odd 0.01
\endif

set client_min_messages = warning;
set timezone = 'UTC';
set synchronous_commit = off;
-- Compiling the one big expression costs more than it saves.
set jit = off;
-- The joins below keep the order of the rows as long as they need one batch.
set work_mem = '64MB';

select :'ties' in ('none', 'days') as ties_known,
       :rows >= 1 and :months >= 1 and :nulls between 0 and 1 and :odd between 0 and 1 as numbers_fit
\gset
\if :ties_known
\else
  do $$ begin raise 'ties is either none or days'; end $$;
\endif
\if :numbers_fit
\else
  do $$ begin raise 'rows and months are at least 1, nulls and odd are shares between 0 and 1'; end $$;
\endif

create schema if not exists acid;
create table if not exists acid.lrs_statement_new (
    "timestamp" timestamptz not null,
    full_statement jsonb not null,
    actor_id bigint
) partition by range ("timestamp");
-- Where the next run goes on to number its rows.
create sequence if not exists acid.lrs_sample_number minvalue 0 start 0;

select format(
           'create table if not exists acid.%I partition of acid.lrs_statement_new for values from (%L) to (%L)',
           'lrs_statement_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month')
  from generate_series(timestamptz '2025-03-01',
                       timestamptz '2025-03-01' + (:months - 1) * interval '1 month',
                       interval '1 month') month
\gexec

begin;

select first_number, setval('acid.lrs_sample_number', first_number + :rows)
  from (select case when is_called then last_value else 0 end as first_number from acid.lrs_sample_number) s
\gset

select extract(epoch from timestamptz '2025-03-01')::bigint as begin_epoch,
       extract(epoch from timestamptz '2025-03-01' + :months * interval '1 month' - timestamptz '2025-03-01')::bigint as period
\gset

-- One group of rows in the middle of the run shares a timestamp: at most 1,000
-- rows and a tenth of all, ten rows to a key of (timestamp, actor_id).
select :rows / 2 as tied_from, :rows / 2 + least(1000, :rows / 10) as tied_to
\gset

create temp table actor (number int, name text) on commit drop;
insert into actor
select number, md5('actor ' || number)::uuid
  from generate_series(0, 99) number;

-- Everything in a statement that does not change from row to row: 8 verbs on
-- 150 items. Stored plain, for it is read again for every row.
create temp table activity (number int, statement jsonb) on commit drop;
alter table activity alter column statement set storage plain;

insert into activity
select (verb_no - 1) * 150 + item,
       jsonb_build_object(
           'verb', jsonb_build_object(
               'id', verb_id,
               'display', jsonb_build_object('ko-KR', verb_ko, 'en-US', verb_en)),
           'object', jsonb_build_object(
               'objectType', 'Activity',
               'id', format('%s/unit/%s/item/%s', course, unit, item),
               'definition', jsonb_build_object(
                   'type', 'http://adlnet.gov/expapi/activities/' || kind,
                   'name', jsonb_build_object('ko-KR', name_ko, 'en-US', name_en),
                   'description', jsonb_build_object(
                       'ko-KR', name_ko || ': ' || task_ko, 'en-US', name_en || ': ' || task_en),
                   'choices', (select jsonb_agg(jsonb_build_object(
                                          'id', format('%s/unit/%s/item/%s/choice/%s', course, unit, item, choice),
                                          'description', jsonb_build_object('ko-KR', name_ko || ' 보기 ' || choice)))
                                 from generate_series(1, 3) choice),
                   'extensions', jsonb_build_object(
                       'https://content.example.kr/aidt/extension/achievement-standard',
                           format('[%s%s%s-%s]', 2 + chance % 5 * 2, left(name_ko, 1),
                                  lpad(unit::text, 2, '0'), lpad((item % 12 + 1)::text, 2, '0'))))),
           'context', jsonb_build_object(
               'registration', md5('registration ' || chance)::uuid,
               'platform', (array['AIDT web player 4.2.1', 'AIDT tablet player 3.9.0', 'AIDT viewer 4.1.7'])[1 + chance % 3],
               'language', 'ko-KR',
               'contextActivities', jsonb_build_object(
                   'parent', jsonb_build_array(jsonb_build_object(
                       'objectType', 'Activity', 'id', format('%s/unit/%s', course, unit))),
                   'grouping', jsonb_build_array(jsonb_build_object(
                       'objectType', 'Activity', 'id', course)))),
           'authority', jsonb_build_object(
               'objectType', 'Agent',
               'account', jsonb_build_object('homePage', 'https://lrs.example.kr', 'name', 'gateway-' || item % 3)),
           'version', '1.0.3')
  from (values
           (1, 'http://adlnet.gov/expapi/verbs/answered', '답변했습니다', 'answered', 'cmi.interaction'),
           (2, 'http://adlnet.gov/expapi/verbs/attempted', '시도했습니다', 'attempted', 'question'),
           (3, 'http://adlnet.gov/expapi/verbs/completed', '완료했습니다', 'completed', 'lesson'),
           (4, 'http://adlnet.gov/expapi/verbs/experienced', '학습했습니다', 'experienced', 'media'),
           (5, 'http://adlnet.gov/expapi/verbs/passed', '통과했습니다', 'passed', 'assessment'),
           (6, 'http://adlnet.gov/expapi/verbs/failed', '통과하지 못했습니다', 'failed', 'assessment'),
           (7, 'https://w3id.org/xapi/video/verbs/played', '재생했습니다', 'played', 'media'),
           (8, 'https://w3id.org/xapi/adb/verbs/viewed', '보았습니다', 'viewed', 'lesson'))
       verb (verb_no, verb_id, verb_ko, verb_en, kind),
       generate_series(0, 149) item,
       lateral (select hashint8extended(verb_no * 1000 + item, 0) & 2147483647 as chance,
                       1 + item % 14 as unit) shape,
       lateral (select 'https://content.example.kr/aidt/publisher/' || item % 5 || '/course/' || 1000 + item % 9 as course,
                       format('%s %s단원 %s번 문항',
                              (array['수학', '영어', '정보', '과학', '국어', '사회'])[1 + item % 6], unit, item) as name_ko,
                       format('%s, unit %s, item %s',
                              (array['Mathematics', 'English', 'Informatics', 'Science', 'Korean', 'Society'])[1 + item % 6],
                              unit, item) as name_en,
                       (array['알맞은 답을 고르세요', '풀이 과정을 설명하세요', '그림을 보고 답하세요', '빈칸을 채우세요'])[1 + chance % 4] as task_ko,
                       (array['choose the right answer', 'explain how you solved it', 'look at the picture and answer', 'fill in the blanks'])[1 + chance % 4] as task_en) words;

analyze actor;
analyze activity;

-- Statements as they also come: other actors, other objects, other ids.
create function pg_temp.odd_statement(statement jsonb, kind int, number bigint) returns jsonb
language plpgsql as $$
begin
    return case kind
        when 0 then jsonb_set(statement, '{actor}', jsonb_build_object(
            'objectType', 'Agent', 'mbox', format('mailto:learner%s@school.example.kr', number % 100)))
        when 1 then jsonb_set(statement, '{actor}', jsonb_build_object(
            'mbox_sha1sum', substr(md5('a' || number % 100) || md5('b' || number % 100), 1, 40)))
        when 2 then jsonb_set(statement, '{actor}', jsonb_build_object(
            'objectType', 'Agent', 'openid', format('https://id.example.kr/learner/%s', number % 100)))
        when 3 then jsonb_set(statement, '{actor}', jsonb_build_object(
            'objectType', 'Group', 'account', statement #> '{actor,account}',
            'member', jsonb_build_array(statement -> 'actor', statement -> 'authority')))
        when 4 then jsonb_set(statement, '{actor}', jsonb_build_object(
            'objectType', 'Group',
            'member', jsonb_build_array(statement -> 'actor', statement -> 'authority')))
        when 5 then statement #- '{object,objectType}'
        when 6 then jsonb_set(statement, '{object}', jsonb_build_object(
            'objectType', 'StatementRef', 'id', md5('statement ' || number - 1)::uuid))
        when 7 then jsonb_set(statement, '{object}', jsonb_build_object(
            'objectType', 'SubStatement', 'actor', statement -> 'authority',
            'verb', statement -> 'verb', 'object', statement -> 'object'))
        when 8 then jsonb_set(statement, '{object}', statement -> 'authority')
        when 9 then statement - 'id'
        when 10 then jsonb_set(statement, '{id}', to_jsonb('test-' || number % 10))
        else jsonb_set(statement, '{id}', to_jsonb(md5('statement ' || number - 1)::uuid)) -- again
    end;
end
$$;

-- From the inside out: number counts every row ever made here and nth those of
-- this run, from 0; chance and luck are 31 bits each. "offset 0" keeps the
-- planner from computing a named expression again wherever its name is used.
insert into acid.lrs_statement_new ("timestamp", full_statement, actor_id)
select case when :'ties' = 'days'
            then to_timestamp(:begin_epoch + floor((moment - :begin_epoch) / 86400) * 86400)
            else to_timestamp(moment) end,
       case when luck % 1000000 < :odd * 1000000
            then pg_temp.odd_statement(statement, (chance / 1024 % 12)::int, number)
            else statement end,
       case when chance % 1000000 >= :nulls * 1000000 then number % 100 + 1 end
  from (select rows.number, moment, chance, luck,
               activity.statement || concat(
                   '{"id": "', md5('statement ' || rows.number)::uuid,
                   '", "actor": {"objectType": "Agent", "name": "학습자 ', rows.number % 100 + 1,
                   '", "account": {"homePage": "https://school.example.kr", "name": "', actor.name,
                   '"}}, "result": {"score": {"scaled": 0.', chance % 90 + 10, ', "raw": ', chance % 90 + 10,
                   ', "min": 0, "max": 100}, "success": ', case when chance % 3 > 0 then 'true' else 'false' end, ', "completion": true, "response": "',
                   -- Mostly a choice, at times an essay, seldom something that
                   -- does not compress and goes out of line.
                   case when luck % 2048 = 0
                        then (select string_agg(md5((rows.number * 512 + piece)::text), '')
                                from generate_series(1, 100 + chance % 200) piece)
                        when luck % 32 = 0
                        then repeat('분모가 다른 두 분수를 통분하여 더했습니다. ', (1 + chance % 30)::int)
                        else 'choice-' || luck % 4 + 1 end,
                   '", "duration": "PT', luck % 40, 'M', luck % 60, '.', chance % 100,
                   'S", "extensions": {"https://content.example.kr/aidt/extension/session": "', md5((rows.number / 40)::text),
                   '", "https://content.example.kr/aidt/extension/attempt": ', luck % 5 + 1,
                   '}}, "timestamp": ', to_json(to_timestamp(moment)),
                   ', "stored": ', to_json(to_timestamp(moment + luck % 2000 / 1000.0)), '}')::jsonb as statement
          from (select number, chance, luck,
                       -- A little out of order, as rows arrive in life.
                       :begin_epoch + :period * (place + chance_of_place / 2147483648.0::float8 * 3) / (:rows + 3)::float8 as moment
                  from (select number, place,
                               hashint8extended(:first_number + place, 1) & 2147483647 as chance_of_place,
                               hashint8extended(number, 2) & 2147483647 as chance,
                               hashint8extended(number, 3) & 2147483647 as luck
                          from (select :first_number + nth as number,
                                       -- Of every 10,000 rows ten share a timestamp, and
                                       -- those of the wide group in the middle.
                                       case when nth >= :tied_from and nth < :tied_to then :tied_from
                                            when nth % 10000 < 10 then nth / 10000 * 10000
                                            else nth end as place
                                  from generate_series(0::bigint, :rows - 1) nth) numbered
                        offset 0) hashed
                offset 0) rows
          join actor on actor.number = rows.number % 100
          join activity on activity.number = chance % 1200
        offset 0) made;

drop function pg_temp.odd_statement;
commit;

-- After the rows, which is faster the first time.
select format('create index if not exists %I on %s ("timestamp", actor_id)',
              relname || '_timestamp_actor_id_idx', pg_class.oid::regclass)
  from pg_inherits join pg_class on pg_class.oid = inhrelid
 where inhparent = 'acid.lrs_statement_new'::regclass
 order by relname
\gexec

vacuum (analyze) acid.lrs_statement_new;
