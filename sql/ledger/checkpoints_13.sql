-- To 16: by time, and requested
select b.checkpoints_timed, b.checkpoints_req from pg_stat_bgwriter b
