-- $1: the server's name, $2: the role that uses it
select w.fdwname::text as wrapper,
       s.srvoptions as server_options,
       has_server_privilege($2, s.oid, 'usage') as may_use,
       m.umoptions as mapping_options,
       m.umuser is not null as has_mapping
  from pg_foreign_server s
  join pg_foreign_data_wrapper w on w.oid = s.srvfdw
  left join lateral (
    select m.umoptions, m.umuser
      from pg_user_mapping m
     where m.umserver = s.oid and m.umuser in ($2, 0)
     order by m.umuser desc
     limit 1
  ) m on true
 where s.srvname = $1
