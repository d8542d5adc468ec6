-- Statements that a server stores in its different ways, told apart by their key 'kind':
--   small   below the threshold of toasting
--   answer  some 3 kB of words: compressed, and then inline
--   same    100 kB that compress to a page's fraction
--   flood   1 MB that stays larger than a page's quarter when it is compressed
--   hex     200 kB that compress hardly
--   noise   200 kB that do not compress at all
create function acid.filler(kind text, n bigint) returns text language sql immutable as $$
    select case kind
        when 'small' then 'none'
        when 'answer' then (select string_agg(format('pupil %s chose answer %s', left(md5((n * i)::text), 8), i % 9), '. ')
                            from generate_series(1, 80) i)
        when 'same' then repeat('all the same ', 7700)
        when 'flood' then repeat('all the same ', 77000)
        when 'hex' then (select string_agg(md5((n * 100000 + i)::text), '') from generate_series(1, 6250) i)
        when 'noise' then (select string_agg(rtrim(translate(encode(sha512((n * 100000 + i)::text::bytea), 'base64'), E'\n', ''), '='), '')
                           from generate_series(1, 2350) i)
    end
$$;

insert into acid.lrs_statement_new
select '2025-04-01 00:00+00'::timestamptz + row_number() over () * interval '1 minute',
       acid.statement(row_number() over (), false) || jsonb_build_object('kind', kind, 'text', acid.filler(kind, n)),
       n % 50
from (values ('small', 300), ('answer', 600), ('same', 20), ('flood', 4), ('hex', 8), ('noise', 8)) k (kind, rows),
     generate_series(1, rows) n;

analyze acid.lrs_statement_new;
