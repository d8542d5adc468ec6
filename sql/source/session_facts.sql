-- What holds for this session on the source.
select pg_catalog.current_setting('server_version') as version,
       pg_catalog.pg_is_in_recovery() as is_standby,
       (select s.version from pg_catalog.pg_stat_ssl s where s.pid = pg_catalog.pg_backend_pid()) as tls,
       (select pg_catalog.pg_encoding_to_char(d.encoding)::pg_catalog.text
          from pg_catalog.pg_database d
         where d.datname = pg_catalog.current_database()) as encoding,
       current_user::pg_catalog.text as role,
       r.rolsuper as is_superuser,
       pg_catalog.pg_has_role('pg_read_all_stats', 'usage') as reads_all_stats,
       case when r.rolsuper then -1 else r.rolconnlimit end as connection_limit,
       l.names as limit_names,
       l.milliseconds as limit_values
  from pg_catalog.pg_roles r
 cross join (select pg_catalog.array_agg(s.name order by s.name) as names,
                    pg_catalog.array_agg(s.setting::int8 order by s.name) as milliseconds
               from pg_catalog.pg_settings s
              where s.name in ('statement_timeout', 'transaction_timeout',
                               'idle_session_timeout', 'idle_in_transaction_session_timeout')) l
 where r.rolname = current_user
