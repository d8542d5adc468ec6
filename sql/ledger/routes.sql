-- Between which tables the runs of a pipeline moved rows. A run of an older version does not say all of
-- it: what it does not say counts as the same.
-- $1: pipeline_id, $2: the target's name, $3: its oid, $4: server, $5: source_table
select r.run_id,
       r.source_id,
       coalesce(r.server = $4 and r.source_table = $5, true) as same_source_names,
       -- The name counts where the table that was filled is gone, or was in another cluster or
       -- database: before a dump was restored, for instance.
       case when filled.oid is not null then filled.oid = $3
            else coalesce(r.target = $2, true) end as same_target,
       filled.oid is null
         and split_part(r.target_id, '/', 1) = c.system_identifier::text
         and split_part(r.target_id, '/', 2) = d.oid::text as target_is_gone,
       format('from %s of server "%s" into %s', r.source_table, r.server,
              coalesce(filled.oid::regclass::text, r.target)) as words
  from lrs_extract.run r
 cross join pg_control_system() c
  join pg_database d on d.datname = current_database()
  left join pg_class filled
    on split_part(r.target_id, '/', 1) = c.system_identifier::text
   and split_part(r.target_id, '/', 2) = d.oid::text
   and split_part(r.target_id, '/', 3) = filled.oid::text
 where r.pipeline_id = $1::uuid
