-- The same in one scan. $1: the bounds, ascending, $2: the stretches between them that are meant
select {columns}
  from {relation}
 where {timestamp} operator(pg_catalog.>=) ($1::pg_catalog.timestamptz[])[1]
   and {timestamp} operator(pg_catalog.<) ($1::pg_catalog.timestamptz[])[pg_catalog.array_upper($1::pg_catalog.timestamptz[], 1)]
   and pg_catalog.width_bucket({timestamp}, $1::pg_catalog.timestamptz[])::pg_catalog.int8 operator(pg_catalog.=) any ($2::pg_catalog.int8[]){only}
