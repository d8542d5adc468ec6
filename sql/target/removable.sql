-- Whether rows can be found again and removed by their ctid. $1: the target's name, $2: the role.
with recursive part (oid, relkind, relam) as (
  select c.oid, c.relkind, c.relam from pg_class c where c.oid = to_regclass($1)
  union
  select c.oid, c.relkind, c.relam
    from part p
    join pg_inherits i on i.inhparent = p.oid
    join pg_class c on c.oid = i.inhrelid
)
select has_table_privilege($2, to_regclass($1), 'delete') as may_delete,
       (select min(p.oid::regclass::text) from part p where p.relkind in ('f', 'v')) as elsewhere,
       -- In another access method a ctid may be no place.
       other.part as in_no_heap,
       other.amname as access_method,
       to_regclass('pg_catalog.pg_dist_partition') is not null as has_citus,
       to_regclass('_timescaledb_catalog.chunk') is not null as has_timescaledb,
       array(select p.oid from part p) as parts
  from (select) one
  left join lateral (
    select p.oid::regclass::text as part, a.amname::text
      from part p
      join pg_am a on a.oid = p.relam
     where a.amname <> 'heap'
     order by 1
     limit 1
  ) other on true
