-- The same of the sha256 of a bytea.
(
  'x' operator(pg_catalog.||) pg_catalog.encode(pg_catalog.substr(pg_catalog.sha256(coalesce({value}, '')), 1, 8), 'hex')
)::bit(64)::bigint
