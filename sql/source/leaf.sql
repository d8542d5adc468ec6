-- What decides how a partition is walked, and what a scan of its heap is known by.
-- $1: the partition's oid, $2: the oid of the table that it belongs to
select c.relkind = 'r' and a.amname = 'heap' as is_heap,
       exists (select from pg_catalog.pg_inherits i where i.inhparent = c.oid) as has_children,
       pg_catalog.has_table_privilege(c.oid, 'select')
         and pg_catalog.has_schema_privilege(c.relnamespace, 'usage') as may_select,
       pg_catalog.row_security_active(c.oid) or pg_catalog.row_security_active($2::oid) as row_security,
       pg_catalog.pg_relation_filenode(c.oid)::oid as filenode,
       case when c.relkind in ('r', 'm') then pg_catalog.pg_relation_size(c.oid) else 0 end
         / pg_catalog.current_setting('block_size')::int8 as blocks,
       c.reltuples::float8 as rows,
       pg_catalog.txid_snapshot_xmin(s.snapshot) as oldest_running,
       pg_catalog.txid_snapshot_xmax(s.snapshot) as next_transaction,
       -- Null where the source does not count its own updates; a reset of the statistics shows in it.
       case when pg_catalog.current_setting('track_counts')::bool and not pg_catalog.pg_is_in_recovery()
            then pg_catalog.concat_ws(' ',
                   pg_catalog.pg_stat_get_tuples_updated(c.oid),
                   -- A row may also be taken out and put in again.
                   pg_catalog.pg_stat_get_tuples_deleted(c.oid),
                   extract(epoch from pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)),
                   extract(epoch from pg_catalog.pg_postmaster_start_time()))
       end as updates
  from pg_catalog.pg_class c
  join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
  left join pg_catalog.pg_am a on a.oid = c.relam
 cross join (select pg_catalog.txid_current_snapshot() as snapshot) s
 where c.oid = $1
