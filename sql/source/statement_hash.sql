-- A sum over all rows, in whatever order: 64 bits, signed, of the md5 of each statement's text, which
-- may come as bytea. No statement counts as an empty one. Names are qualified: on the stage the
-- search path is the caller's.
coalesce(pg_catalog.sum((
  'x' operator(pg_catalog.||) pg_catalog.substr(pg_catalog.md5(coalesce({text}, '')), 1, 16)
)::bit(64)::bigint), 0)::pg_catalog.text
