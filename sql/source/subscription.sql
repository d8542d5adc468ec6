-- Whether logical replication fills the table of oid $1, or a part of it, and how far it has come: no further
-- than the publisher's last message that was worked off, each after all before it. Null where no worker
-- applies what comes, or nothing has come yet.
--
-- What a publisher says while it is itself behind with reading its WAL is not seen from here.
with filled as (
  select r.srsubid, r.srsubstate
    from pg_catalog.pg_subscription_rel r
   where r.srrelid = $1
      or r.srrelid in (select t.relid from pg_catalog.pg_partition_tree($1::oid::pg_catalog.regclass) t)
      or r.srrelid in (select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = $1)
)
select exists (select from filled) as subscriber,
       exists (select from filled f where f.srsubstate not in ('r', 's')) as copying,
       (select case when pg_catalog.bool_and(h.latest_end_time is not null)
                    then (extract(epoch from pg_catalog.min(h.latest_end_time)) * 1000000)::int8 end
          from (select distinct f.srsubid from filled f) s
          left join pg_catalog.pg_stat_subscription h
            on h.subid = s.srsubid and h.relid is null
           and pg_catalog.to_jsonb(h) ->> 'leader_pid' is null) as heard_micros
