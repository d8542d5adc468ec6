-- The first of the workers $1 that waits, through whatever chain, for process $2
with recursive waiting as (
  select w.pid as worker, b.pid as blocker, 1 as depth
    from unnest($1::int[]) w(pid)
   cross join lateral unnest(pg_blocking_pids(w.pid)) b(pid)
  union
  select w.worker, b.pid, w.depth + 1
    from waiting w
   cross join lateral unnest(pg_blocking_pids(w.blocker)) b(pid)
   where w.depth < 5 and w.blocker <> $2
)
select min(worker) from waiting where blocker = $2
