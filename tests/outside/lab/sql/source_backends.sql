select string_agg(format('source pid %s %s %s: %s; ', pid, application_name, state, query), '')
from pg_stat_activity
where application_name like 'lrs_extract%' and datname = current_database()
