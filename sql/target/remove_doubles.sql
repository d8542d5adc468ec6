-- Removes one step's doubles: those that are still the row versions that were found ($1 table,
-- $2 place, $3 version), each only while the one that stays for it ($6, $7, $8) is there unchanged.
-- A version is known by its xmin: whatever was updated, or took the place of a row that went, has
-- another. The bounds of their timestamps ($4, $5 and $9, $10) spare partitions from being searched.
delete from {target} t
 using rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),
                  pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8))
         as d (place_table, place, version, kept_table, kept_place, kept_version)
 where t.ctid operator(pg_catalog.=) any ($2)
   and t.{timestamp} operator(pg_catalog.>=) $4
   and t.{timestamp} operator(pg_catalog.<=) $5
   and t.tableoid operator(pg_catalog.=) d.place_table
   and t.ctid operator(pg_catalog.=) d.place
   and t.xmin operator(pg_catalog.=) d.version
   and exists (select
                 from {target} k
                where k.ctid operator(pg_catalog.=) any ($7)
                  and k.{timestamp} operator(pg_catalog.>=) $9
                  and k.{timestamp} operator(pg_catalog.<=) $10
                  and k.tableoid operator(pg_catalog.=) d.kept_table
                  and k.ctid operator(pg_catalog.=) d.kept_place
                  and k.xmin operator(pg_catalog.=) d.kept_version)
