-- What a session can tell before anything is set in it: the server's version, and whether the one that the
-- client was let into has what the client asked for at its start.
select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as version,
       pg_catalog.current_setting('{marker}', true) as marked
