-- The grants that a role lacks to read a table; null where it lacks none. $1: the table's name, as text
select nullif(pg_catalog.concat_ws(' ',
         case when not pg_catalog.has_schema_privilege(s.oid, 'usage')
              then 'grant usage on schema ' || pg_catalog.quote_ident(s.nspname) || ' to ' || n.role || ';' end,
         case when t.oid is null
                or not pg_catalog.has_table_privilege(t.oid, 'select')
              then 'grant select on ' || pg_catalog.array_to_string(n.parts, '.') || ' to ' || n.role || ';' end), '') as grants
  from (select array(select pg_catalog.quote_ident(p.part)
                       from pg_catalog.unnest(pg_catalog.parse_ident($1)) with ordinality p (part, nth)
                      order by p.nth) as parts,
               pg_catalog.parse_ident($1) as names,
               pg_catalog.quote_ident(current_user) as role) n
  left join pg_catalog.pg_namespace s on pg_catalog.cardinality(n.names) > 1 and s.nspname = n.names[1]
  left join pg_catalog.pg_class t on t.relnamespace = s.oid and t.relname = n.names[2]
