-- From 17 on: by time, and requested
select c.num_timed, c.num_requested from pg_stat_checkpointer c
