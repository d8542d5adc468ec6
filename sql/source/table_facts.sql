-- What the catalog has of the table of oid $1 and of its partitions; $2, $3: the timestamp and the actor
-- column
select c.oid = $1 as is_root,
       c.oid::pg_catalog.regclass::pg_catalog.text as name,
       c.relpersistence as persistence,
       c.relkind in ('r', 'm') as has_rows,
       case when c.relkind in ('r', 'm') then coalesce(pg_catalog.pg_table_size(c.oid), 0) else 0 end as bytes,
       c.relkind in ('r', 'm') and coalesce(pg_catalog.pg_relation_size(c.oid), 0) > 0 as is_filled,
       greatest(c.reltuples, 0)::float8 as rows,
       exists (select
                 from pg_catalog.pg_stats s
                where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = $2
                  and not s.inherited) as has_statistics,
       pg_catalog.has_column_privilege(c.oid, k.attnum, 'select') as sees_statistics,
       pg_catalog.row_security_active(c.oid) as row_security,
       array(select i.indexrelid::pg_catalog.regclass::pg_catalog.text
               from pg_catalog.pg_index i
               join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
               join pg_catalog.pg_attribute b on b.attrelid = i.indrelid and b.attnum = i.indkey[1]
              where i.indrelid = c.oid and not i.indisvalid and a.attname = $2 and b.attname = $3 and c.relkind = 'r'
              order by 1) as invalid_indexes
  from (select $1::oid as relid
        union
        select t.relid::oid from pg_catalog.pg_partition_tree($1::oid::pg_catalog.regclass) t) t
  join pg_catalog.pg_class c on c.oid = t.relid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute k on k.attrelid = c.oid and k.attname = $2
 order by c.oid
