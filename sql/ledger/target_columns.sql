-- $1: the target's name as text, $2: the role that will insert. No row: no such table.
select c.oid,
       c.relkind::text as relkind,
       c.oid::regclass::text as name,
       a.attname::text as column_name,
       a.atttypid as type_oid,
       a.atttypmod as type_modifier,
       a.attgenerated <> '' as generated,
       a.attidentity = 'a' as identity_always,
       -- A foreign table's and a view's values are stored elsewhere, in a form of their own.
       case when c.relkind in ('r', 'p') then a.attstorage::text else 'p' end as storage,
       -- attcompression came with 14.
       nullif(to_jsonb(a) ->> 'attcompression', '') as compression,
       has_table_privilege($2, c.oid, 'insert')
         or has_column_privilege($2, c.oid, a.attnum, 'insert') as may_insert
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid
 where c.oid = to_regclass($1)
   and a.attnum > 0
   and not a.attisdropped
 order by a.attnum
