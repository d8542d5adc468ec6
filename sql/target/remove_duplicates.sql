-- Removes one step's surplus rows: those that are still the row versions that were found ($1 table,
-- $2 its file, $3 place, $4 version), each only while the one that stays for it ($7 to $10) is there
-- unchanged. A version is known by its xmin: whatever was updated, or took the place of a row that
-- went, has another. All rows of a load share one, though, so places count only within the file
-- that they were found in: VACUUM FULL and CLUSTER write another. The bounds of the timestamps ($5,
-- $6 and $11, $12) spare partitions from being searched.
delete from {target} t
 using rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),
                  pg_catalog.unnest($4), pg_catalog.unnest($7), pg_catalog.unnest($8),
                  pg_catalog.unnest($9), pg_catalog.unnest($10))
         as d (place_table, place_file, place, version, kept_table, kept_file, kept_place, kept_version)
 where t.ctid operator(pg_catalog.=) any ($3)
   and t.{timestamp} operator(pg_catalog.>=) $5
   and t.{timestamp} operator(pg_catalog.<=) $6
   and t.tableoid operator(pg_catalog.=) d.place_table
   and t.ctid operator(pg_catalog.=) d.place
   and t.xmin operator(pg_catalog.=) d.version
   and pg_catalog.pg_relation_filenode(d.place_table) operator(pg_catalog.=) d.place_file
   and pg_catalog.pg_relation_filenode(d.kept_table) operator(pg_catalog.=) d.kept_file
   and exists (select
                 from {target} k
                where k.ctid operator(pg_catalog.=) any ($9)
                  and k.{timestamp} operator(pg_catalog.>=) $11
                  and k.{timestamp} operator(pg_catalog.<=) $12
                  and k.tableoid operator(pg_catalog.=) d.kept_table
                  and k.ctid operator(pg_catalog.=) d.kept_place
                  and k.xmin operator(pg_catalog.=) d.kept_version)
