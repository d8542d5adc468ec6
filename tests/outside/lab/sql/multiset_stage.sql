-- One line a row of the target or the rejects in [$1, $2), written as multiset_source.sql does.
select to_char("timestamp" at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' '
       || coalesce("statement" ->> 'id', '-') || ' ' || md5("statement"::text) as line
from (
    select "timestamp", "statement" from pipeline.aidt_raw
    union all
    select "timestamp", "statement"::jsonb from lrs_extract.reject
) rows
where "timestamp" >= $1::text::timestamptz and "timestamp" < $2::text::timestamptz
