-- $1: the target's name as text, $2: the role that will insert. No row: no such table.
with recursive store (oid) as (
    -- The target, and where it is partitioned, what holds its rows. Not by pg_partition_tree: that
    -- would lock all partitions for as long as the caller's transaction lasts.
    select to_regclass($1)::oid
    union
    select i.inhrelid
      from store s
      join pg_class p on p.oid = s.oid and p.relkind = 'p'
      join pg_inherits i on i.inhparent = s.oid
)
select c.oid,
       c.relkind::text as relkind,
       -- Always with its schema: whoever reads the name may have another search path.
       format('%I.%I', n.nspname, c.relname) as name,
       c.relpersistence = 't' as is_temporary,
       a.attname::text as column_name,
       a.atttypid as type_oid,
       a.atttypmod as type_modifier,
       a.attgenerated <> '' as generated,
       a.attidentity = 'a' as identity_always,
       coalesce(form.storage, 'p') as storage,
       form.compression,
       -- Whether a row can be neither inserted nor refused, as far as this server knows.
       exists (select from store s join pg_class sc on sc.oid = s.oid and sc.relkind in ('f', 'v'))
         or exists (select from store s
                      join pg_trigger g on g.tgrelid = s.oid
                     where not g.tgisinternal and g.tgenabled <> 'D' and g.tgtype & 7 = 7)
         or exists (select from pg_rewrite r where r.ev_class = c.oid and r.ev_type = '3')
         as may_take_away,
       case when not has_schema_privilege($2, n.oid, 'usage') then quote_ident(n.nspname) end as closed_schema,
       has_table_privilege($2, c.oid, 'insert')
         or has_column_privilege($2, c.oid, a.attnum, 'insert') as may_insert
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid
  -- The form that all values are stored in. No row, and so 'p', where there is no single one: in
  -- partitions that differ; in a foreign table or a view, which has a form of its own; and in a
  -- table that toasts later than at TOAST_TUPLE_THRESHOLD. Then the server makes it from plain.
  left join lateral (
      select min(sa.attstorage::text) as storage,
             min(nullif(method.compression, '')) as compression
        from store s
        join pg_class sc on sc.oid = s.oid and sc.relkind <> 'p'
        join pg_attribute sa on sa.attrelid = s.oid and sa.attname = a.attname and not sa.attisdropped
        -- attcompression came with 14; where pg_attribute has none, the name is this one's.
       cross join (select ''::"char" as attcompression) before_14
       cross join lateral (
         select attcompression::text as compression
           from pg_attribute own
          where own.attrelid = sa.attrelid and own.attnum = sa.attnum
       ) method
      having count(distinct (sa.attstorage, method.compression)) = 1
         and bool_and(sc.relkind = 'r'
                      and not exists (select from pg_options_to_table(sc.reloptions) o
                                       where o.option_name = 'toast_tuple_target'
                                         and o.option_value::int > 2032))
  ) form on true
 where c.oid = to_regclass($1)
   and a.attnum > 0
   and not a.attisdropped
 order by a.attnum
