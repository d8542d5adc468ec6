-- Whether the table $1 still has the partition, or the child, that is printed as $2. By its text:
-- to_regclass would take USAGE on its schema, which reading the table does not. One that is being
-- detached concurrently (from 14 on) is out of sight already.
with recursive tree (oid) as (
    select pg_catalog.to_regclass($1)::oid
    union
    select i.inhrelid
      from tree t
      join pg_catalog.pg_inherits i on i.inhparent = t.oid
     where pg_catalog.to_jsonb(i) ->> 'inhdetachpending' is distinct from 'true'
)
select exists (
         select from tree t where t.oid::pg_catalog.regclass::pg_catalog.text = $2
       ) as holds
