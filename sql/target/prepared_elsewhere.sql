-- A transaction that Citus has prepared on another node.
select min(w.result)
  from run_command_on_workers($$select min(gid) from pg_prepared_xacts where gid like 'citus\_%' and database = current_database()$$) w
 where w.success
   and w.result <> ''
