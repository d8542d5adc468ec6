-- The rows of one timestamp whose hashes end in some bits. $1: the timestamp, $2: the mask of the bits, $3: which they are
select {columns}
  from {relation}
 where {timestamp} operator(pg_catalog.=) $1::pg_catalog.timestamptz
   and (({hash}) operator(pg_catalog.&) $2::pg_catalog.int8) operator(pg_catalog.=) any ($3::pg_catalog.int8[]){only}
