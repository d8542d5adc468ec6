-- $1: the table's oid, $2: the timestamp column. Each node of the partition tree: its parent, its
-- bound within the parent, and whether it is itself cut into ranges of the timestamp.
select t.relid::oid as oid,
       t.parentrelid::oid as parent,
       t.level,
       t.relid::text as name,
       pg_catalog.pg_get_expr(c.relpartbound, c.oid) as bound,
       coalesce(
         p.partstrat = 'r' and p.partnatts = 1 and a.attname = $2, false
       ) as cut_by_time
  from pg_catalog.pg_partition_tree($1::oid::pg_catalog.regclass) t
  join pg_catalog.pg_class c on c.oid = t.relid
  left join pg_catalog.pg_partitioned_table p on p.partrelid = t.relid
  left join pg_catalog.pg_attribute a
         on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
 order by t.level, t.relid
