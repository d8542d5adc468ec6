-- A table that Citus spreads over nodes, among those of oids $1.
select min(d.logicalrelid::pg_catalog.text)
  from pg_catalog.pg_dist_partition d
 where d.logicalrelid::pg_catalog.oid operator(pg_catalog.=) any ($1)
