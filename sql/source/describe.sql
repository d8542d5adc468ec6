-- $1: the table's name, as text
select c.oid,
       c.relkind,
       c.oid::pg_catalog.regclass::text as name,
       pg_catalog.current_setting('server_version_num')::int4 as version,
       pg_catalog.current_setting('block_size')::int4 as block_size,
       pg_catalog.pg_encoding_to_char(d.encoding)::text as encoding,
       d.oid as database_oid,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute') as tells_cluster
  from pg_catalog.pg_class c
  join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
 where c.oid = pg_catalog.to_regclass($1)
