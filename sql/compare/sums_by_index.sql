-- What each range comes to, a range after the other. $1: where they begin, $2: where they end
select r.n, s.rows, s.keys, s.hash
  from rows from (pg_catalog.unnest($1::pg_catalog.timestamptz[]), pg_catalog.unnest($2::pg_catalog.timestamptz[]))
       with ordinality r (range_from, range_to, n)
 cross join lateral (
   select {sums}
     from {relation}
    where {timestamp} operator(pg_catalog.>=) r.range_from
      and {timestamp} operator(pg_catalog.<) r.range_to{only}
 ) s
