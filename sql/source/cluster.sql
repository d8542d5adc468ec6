-- What a cluster shares with its standbys and with no other.
select c.system_identifier::text as cluster from pg_catalog.pg_control_system() c
