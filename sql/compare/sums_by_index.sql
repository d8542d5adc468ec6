-- What each range comes to, a range after the other. $1: where they begin, $2: where they end
select lrs_extract_range.n, s.rows, s.keys, s.hash
  from rows from (pg_catalog.unnest($1::pg_catalog.timestamptz[]), pg_catalog.unnest($2::pg_catalog.timestamptz[]))
       with ordinality lrs_extract_range (range_from, range_to, n)
 cross join lateral (
   select {sums}
     from {relation}
    where {timestamp} operator(pg_catalog.>=) lrs_extract_range.range_from
      and {timestamp} operator(pg_catalog.<) lrs_extract_range.range_to{only}
 ) s
