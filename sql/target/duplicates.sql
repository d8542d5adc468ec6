-- The rows of [$1, $2) that came again: of each id all but the earliest, with the one that stays.
-- Held past its transaction, so that no snapshot is open while they are removed. Operators are
-- named with their schema: the search path is the caller's.
declare lrs_extract_duplicates no scroll cursor with hold for
select d.place_table, pg_catalog.pg_relation_filenode(d.place_table) as place_file,
       d.place, d.version, d.at,
       d.kept_table, pg_catalog.pg_relation_filenode(d.kept_table) as kept_file,
       d.kept_place, d.kept_version, d.kept_at
  from (select t.tableoid as place_table,
               t.ctid as place,
               t.xmin as version,
               t.{timestamp} as at,
               pg_catalog.row_number() over same as nth,
               pg_catalog.first_value(t.tableoid) over same as kept_table,
               pg_catalog.first_value(t.ctid) over same as kept_place,
               pg_catalog.first_value(t.xmin) over same as kept_version,
               pg_catalog.first_value(t.{timestamp}) over same as kept_at
          from {target} t
         where t.{timestamp} operator(pg_catalog.>=) $1
           and t.{timestamp} operator(pg_catalog.<) $2
           and t.{id} is not null
        window same as (partition by t.{id} order by t.{timestamp}, t.tableoid, t.ctid)) d
 where d.nth operator(pg_catalog.>) 1
 -- The order in which a step finds them side by side.
 order by d.place_table, d.place
