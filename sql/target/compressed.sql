-- A chunk of TimescaleDB, among the tables of oids $1, whose rows are compressed elsewhere.
select pg_catalog.min(c.oid::pg_catalog.regclass::pg_catalog.text)
  from _timescaledb_catalog.chunk k
  join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) k.schema_name
  join pg_catalog.pg_class c
    on c.relnamespace operator(pg_catalog.=) n.oid and c.relname operator(pg_catalog.=) k.table_name
 where c.oid operator(pg_catalog.=) any ($1)
   and k.compressed_chunk_id is not null
