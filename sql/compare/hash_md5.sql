-- 64 bits, signed, of the md5 of a text or a bytea. Null counts as empty. Names are qualified: on the stage the search
-- path is the caller's.
(
  'x' operator(pg_catalog.||) pg_catalog.substr(pg_catalog.md5(coalesce({value}, '')), 1, 16)
)::bit(64)::bigint
