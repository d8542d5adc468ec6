-- Limits of the session in milliseconds, and what else bears on a pull, in words
select max(s.setting::bigint) filter (where s.name = 'statement_timeout'),
       max(s.setting::bigint) filter (where s.name = 'transaction_timeout'),
       string_agg(format('%s %s', s.name, current_setting(s.name)), ', ' order by s.name)
         filter (where s.name not in ('statement_timeout', 'transaction_timeout', 'default_transaction_read_only')),
       current_setting('default_transaction_read_only')::bool
  from pg_settings s
 where s.name in ('statement_timeout', 'transaction_timeout', 'server_version', 'max_wal_size',
                  'default_transaction_read_only', 'synchronous_commit', 'work_mem', 'default_toast_compression', 'session_replication_role')
