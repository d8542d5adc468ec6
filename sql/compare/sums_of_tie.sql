-- What the rows of one timestamp come to, by the last bits of their hashes. $1: the timestamp, $2: the bits, as a mask
select ({hash}) operator(pg_catalog.&) $2::pg_catalog.int8 as n, {sums}
  from {relation}
 where {timestamp} operator(pg_catalog.=) $1::pg_catalog.timestamptz{only}
 group by 1
