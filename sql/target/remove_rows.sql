-- Removes rows that are still the row versions that were found ($1 table, $2 its file, $3 place, $4 version); see
-- remove_duplicates.sql. The bounds of the timestamps ($5, $6) spare partitions from being searched.
delete from {target} t
 using rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4))
         as d (place_table, place_file, place, version)
 where t.ctid operator(pg_catalog.=) any ($3)
   and t.{timestamp} operator(pg_catalog.>=) $5
   and t.{timestamp} operator(pg_catalog.<=) $6
   and t.tableoid operator(pg_catalog.=) d.place_table
   and t.ctid operator(pg_catalog.=) d.place
   and t.xmin operator(pg_catalog.=) d.version
   and pg_catalog.pg_relation_filenode(d.place_table) operator(pg_catalog.=) d.place_file
