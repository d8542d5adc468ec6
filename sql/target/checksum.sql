-- $1: from, $2: to. Runs as the caller, with the caller's search path.
select pg_catalog.count(*) as count, {hash} as hash
  from {target}
 where {timestamp} operator(pg_catalog.>=) $1
   and {timestamp} operator(pg_catalog.<) $2
