-- One line a source row of [$1, $2).
select to_char("timestamp" at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' '
       || coalesce(full_statement ->> 'id', '-') || ' ' || md5(full_statement::text) as line
from acid.lrs_statement_new
where "timestamp" >= $1::text::timestamptz and "timestamp" < $2::text::timestamptz
