select string_agg(format('stage pid %s %s: %s; ', pid, backend_type, query), '')
from pg_stat_activity
where backend_type = 'lrs_extract worker' and datname = current_database()
