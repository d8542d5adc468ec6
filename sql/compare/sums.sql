-- What rows come to, in whatever order: their number, and sums over the hashes of their times and of their
-- statements.
pg_catalog.count(*) as rows,
coalesce(pg_catalog.sum(pg_catalog.timestamp_hash_extended(pg_catalog.timezone('UTC', {timestamp}), 0)), 0)::pg_catalog.text as keys,
coalesce(pg_catalog.sum({hash}), 0)::pg_catalog.text as hash
