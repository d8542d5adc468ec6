-- $1: the table's oid, $2: the names wanted
select a.attname::text as name,
       t.typname::text as type,
       a.atttypid as type_oid
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
 where a.attrelid = $1
   and a.attname = any ($2)
   and a.attnum > 0
   and not a.attisdropped
