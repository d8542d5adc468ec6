-- Whether rows can be found again and removed by their ctid. $1: the target's name, $2: the role.
with recursive part (oid, relkind) as (
  select c.oid, c.relkind from pg_class c where c.oid = to_regclass($1)
  union
  select c.oid, c.relkind
    from part p
    join pg_inherits i on i.inhparent = p.oid
    join pg_class c on c.oid = i.inhrelid
)
select has_table_privilege($2, to_regclass($1), 'delete') as may_delete,
       (select min(p.oid::regclass::text) from part p where p.relkind in ('f', 'v')) as without_ctid
