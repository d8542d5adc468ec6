-- What each stretch between two bounds comes to, in one scan; what is empty is not there. $1: the bounds, ascending
select pg_catalog.width_bucket({timestamp}, $1::pg_catalog.timestamptz[])::pg_catalog.int8 as n, {sums}
  from {relation}
 where {timestamp} operator(pg_catalog.>=) ($1::pg_catalog.timestamptz[])[1]
   and {timestamp} operator(pg_catalog.<) ($1::pg_catalog.timestamptz[])[pg_catalog.array_upper($1::pg_catalog.timestamptz[], 1)]{only}
 group by 1
