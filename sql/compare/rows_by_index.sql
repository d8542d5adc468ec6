-- The rows of ranges, a range after the other: without the offset it is a join, for which the server may read
-- all of the relation. $1: where they begin, $2: where they end
select s.*
  from rows from (pg_catalog.unnest($1::pg_catalog.timestamptz[]), pg_catalog.unnest($2::pg_catalog.timestamptz[]))
       lrs_extract_range (range_from, range_to)
 cross join lateral (
   select {columns}
     from {relation}
    where {timestamp} operator(pg_catalog.>=) lrs_extract_range.range_from
      and {timestamp} operator(pg_catalog.<) lrs_extract_range.range_to{only}
   offset 0
 ) s
