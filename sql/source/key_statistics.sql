-- How far the heap's order follows the timestamp, per table that holds rows (1: exactly, 0: not at
-- all), and how many rows share the timestamp that is the most common of the sample, or one on the
-- average. $1: the table's oid, $2: the timestamp column.
select c.oid::pg_catalog.regclass::text as name,
       s.correlation,
       (coalesce(greatest(s.most_common_freqs[1], 0) * greatest(c.reltuples, 0),
                 case when s.n_distinct < 0 then -1 / s.n_distinct
                      else greatest(c.reltuples, 0) / nullif(s.n_distinct, 0) end, 1))::float8 as ties
  from (select $1::oid as relid
        union
        select t.relid::oid from pg_catalog.pg_partition_tree($1::oid::pg_catalog.regclass) t) t
  join pg_catalog.pg_class c on c.oid = t.relid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_stats s
    on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = $2 and not s.inherited
 where s.correlation is not null
