-- What a role needs to read a table. $1: the table's name, as text
select pg_catalog.concat(
         'grant usage on schema ' || case when pg_catalog.cardinality(n.parts) > 1 then n.parts[1] end
           || ' to ' || n.role || '; ',
         'grant select on ' || pg_catalog.array_to_string(n.parts, '.') || ' to ' || n.role || ';') as grants
  from (select array(select pg_catalog.quote_ident(p.part)
                       from pg_catalog.unnest(pg_catalog.parse_ident($1)) with ordinality p (part, nth)
                      order by p.nth) as parts,
               pg_catalog.quote_ident(current_user) as role) n
