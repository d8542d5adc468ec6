-- A data set that is hard on a reader of JSON: statements of some 2.2 KB, most of
-- which is Korean text, escapes (quotes, backslashes, line ends, control
-- characters, emoji) and numbers (integers, long decimals, exponents).
--
--   psql -v rows=300000 … -f source_korean.sql
--
-- The same rows each time: what looks random is a hash of the row's number.

\ir source_table.sql

insert into acid.lrs_statement_new ("timestamp", full_statement, actor_id)
select pg_temp.moment(nth, :rows),
       jsonb_build_object(
           'id', md5('korean ' || nth)::uuid,
           'actor', jsonb_build_object(
               'objectType', 'Agent', 'name', '학습자 "' || nth % 100 || '"',
               'account', jsonb_build_object(
                   'homePage', 'https://school.example.kr', 'name', md5('actor ' || nth % 100)::uuid)),
           'verb', jsonb_build_object(
               'id', 'http://adlnet.gov/expapi/verbs/answered',
               'display', jsonb_build_object('ko-KR', '응답했다', 'en-US', 'answered')),
           'object', jsonb_build_object(
               'objectType', 'Activity',
               'id', 'https://content.example.kr/단원/' || luck % 40 || '/문항/' || chance % 200,
               'definition', jsonb_build_object(
                   'name', jsonb_build_object('ko-KR', format('분수의 덧셈과 뺄셈 %s단원 %s번 문항', luck % 40, chance % 200)),
                   'description', jsonb_build_object(
                       'ko-KR', E'다음 글을 읽고 "알맞은 답"을 고르세요.\r\n\t① 통분하여 더한다\r\n\t② C:\\학습\\자료 를 연다\r\n'))),
           'result', jsonb_build_object(
               'response', format(
                   E'나는 "분모가 %s인 분수"를 \\frac{%s}{%s} 로 바꾸었다.\n그리고 선생님이 말씀하신 대로\t다시 풀어 보았다: \u0001\u001f 😀👍\n',
                   chance % 97, luck % 89, chance % 83)
                   || repeat(E'그림을 보고 "왜 그런지" 설명하면 \\alpha + \\beta 이다.\n', (luck % 4)::int),
               'success', chance % 3 > 0,
               'score', jsonb_build_object(
                   'scaled', (chance % 1000000000)::numeric / 1000000000, 'raw', chance % 101, 'min', 0, 'max', 100),
               'extensions', jsonb_build_object(
                   'https://content.example.kr/시선', numbers.gaze,
                   'https://content.example.kr/필기', numbers.strokes,
                   'https://content.example.kr/큰수', (luck::text || chance || luck || chance)::numeric,
                   'https://content.example.kr/지수', format('%s.%se-%s', luck % 9 + 1, chance % 99991, luck % 30)::numeric)),
           'version', '1.0.3',
           'timestamp', pg_temp.moment(nth, :rows)),
       case when chance % 100 > 0 then nth % 100 + 1 end
  from (select nth,
               hashint8extended(nth, 2) & 2147483647 as chance,
               hashint8extended(nth, 3) & 2147483647 as luck
          from generate_series(0::bigint, :rows - 1) nth
        offset 0) hashed
 cross join lateral (
           select jsonb_agg(((chance * (n + 7)) % 19200000)::numeric / 10000) as gaze,
                  jsonb_agg(jsonb_build_array((luck * (n + 3)) % 4096, (chance * (n + 5)) % 4096, -n)) as strokes
             from generate_series(1, 24) n
           offset 0) numbers;

\ir source_index.sql
