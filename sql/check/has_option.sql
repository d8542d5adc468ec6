-- Whether the foreign server $1 has the option $2
select exists (
  select
    from pg_foreign_server s
   cross join lateral pg_options_to_table(s.srvoptions) o
   where s.srvname = $1
     and o.option_name = $2)
