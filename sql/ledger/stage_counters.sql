-- What a server counts from its own beginning, as far as it bears on a load.
-- $1: the target's name; $2, $3: checkpoints, by time and requested
with recursive store (oid) as (
  -- Not by pg_partition_tree: that would lock all partitions until the transaction ends.
  select to_regclass($1)::oid
  union
  select i.inhrelid
    from store s
    join pg_class p on p.oid = s.oid and p.relkind = 'p'
    join pg_inherits i on i.inhparent = s.oid
)
select jsonb_build_object(
         'checkpoints_timed', $2::bigint,
         'checkpoints_requested', $3::bigint,
         'autovacuums', coalesce(sum(pg_stat_get_autovacuum_count(s.oid)), 0)::bigint,
         'autoanalyzes', coalesce(sum(pg_stat_get_autoanalyze_count(s.oid)), 0)::bigint,
         'vacuums_running', (select count(*)
                               from pg_stat_progress_vacuum v
                              where v.datname = current_database()
                                and v.relid in (select t.oid from store t)))::text
  from store s
